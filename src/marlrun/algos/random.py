"""Uniformly random actions: the floor every algorithm is measured against."""

import torch
from torch import Tensor

from marlrun.streams import Blocks, Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


class Random:
    """Learns nothing."""

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device, *, num_envs: int):
        self.spec, self.seeds, self.device = spec, seeds, device
        self.evaluations = 0
        """Policies made for evaluation; each draws numbers of its own."""

    def policy(self, explore: bool) -> "RandomPolicy":
        """Return a policy that draws every agent's action uniformly."""
        name = "explore" if explore else f"evaluate/{self.evaluations}"
        self.evaluations += not explore
        return RandomPolicy(self.spec, Stream(self.seeds, name, self.device))

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Forget it."""

    def update(self) -> Metrics:
        """Do nothing."""
        return {}

    def state_dict(self) -> StateDict:
        """Return how many evaluations there were."""
        return {"evaluations": self.evaluations}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self.evaluations = state["evaluations"]


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
