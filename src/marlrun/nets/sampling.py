"""Actions drawn from logits, by random numbers that belong to a replica's seed."""

from collections.abc import Callable

import torch
from torch import Tensor

from marlrun.streams import Blocks, Stream
from marlrun.types import StateDict, Step


class Sampling:
    """A policy that draws every agent's action from a softmax: argmax of logits + Gumbel noise.

    Actions are plain tensors, not those of inference mode, so a learner may keep them and use them
    under autograd. They carry no graph: log-probabilities are computed anew from the observations.
    """

    def __init__(self, logits: Callable[[Step], Tensor], stream: Stream):
        """Take what turns a step into logits [R, E, N, A], -inf where an action is not allowed."""
        self._logits, self._stream = logits, stream
        self._noise: Blocks | None = None
        self.counter = 0

    @torch.no_grad()
    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        logits = self._logits(step)
        if self._noise is None:
            self._noise = Blocks(self._stream, *logits.shape[1:], prepare=_gumbel)
        action = (logits + self._noise(self.counter)).argmax(-1)
        self.counter += 1
        return action

    def state_dict(self) -> StateDict:
        """Return the random stream's position."""
        return {"counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self.counter = state["counter"]


class Greedy:
    """A policy that takes every agent's most likely action, the first of several."""

    def __init__(self, logits: Callable[[Step], Tensor]):
        """Take what turns a step into logits [R, E, N, A], -inf where an action is not allowed."""
        self._logits = logits

    @torch.no_grad()
    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        return self._logits(step).argmax(-1)

    def state_dict(self) -> StateDict:
        """Return nothing: no number is random."""
        return {}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""


def _gumbel(numbers: Tensor) -> tuple[Tensor]:
    return (numbers.log_().neg_().log_().neg_(),)
