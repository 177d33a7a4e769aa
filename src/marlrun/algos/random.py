"""Uniformly random actions: the floor every algorithm is measured against."""

import torch
from torch import Tensor

from marlrun.streams import Blocks, Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


class Random:
    """Learns nothing."""

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device, *, num_envs: int):
        self.spec, self.device = spec, device

    def policy(self, explore: bool, seeds: Seeds) -> "RandomPolicy":
        """Return a policy that draws every agent's action uniformly."""
        return RandomPolicy(self.spec, Stream(seeds, "policy", self.device))

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Forget it."""

    def update(self) -> Metrics:
        """Do nothing."""
        return {}

    def state_dict(self) -> StateDict:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back nothing."""


class RandomPolicy:
    """Its only memory is how many ticks it has played."""

    def __init__(self, spec: Spec, stream: Stream):
        self._stream, self._counter = stream, 0
        self._num_actions = torch.tensor(spec.num_actions, device=stream.device)
        self._draws: Blocks | None = None

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        if self._draws is None:
            shape = step.reward.shape[1:]
            self._draws = Blocks(self._stream, *shape, prepare=self._choose)
        action = self._draws(self._counter)
        self._counter += 1
        return action

    def _choose(self, numbers: Tensor) -> tuple[Tensor]:
        return ((numbers * self._num_actions).long(),)

    def state_dict(self) -> StateDict:
        """Return the tick."""
        return {"counter": self._counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._counter = state["counter"]
