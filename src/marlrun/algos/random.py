"""Uniformly random actions: what every algorithm is compared with."""

from typing import ClassVar

import torch
from torch import Tensor

from marlrun.nets.masks import forbidden_actions, missing_actions, uniform_action
from marlrun.streams import Blocks, Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


class Random:
    """The learner that learns nothing."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device, *, num_envs: int):
        self.spec, self.device = spec, device

    def policy(self, explore: bool, seeds: Seeds) -> "RandomPolicy":
        """Return a policy that draws every agent's action uniformly among those allowed."""
        return RandomPolicy(self.spec, Stream(seeds, "policy", self.device))

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in a transition, and forget it."""

    def update(self) -> Metrics:
        """Return no metrics, since nothing is learned."""
        return {}

    def state_dict(self) -> StateDict:
        """Return nothing, since nothing is learned."""
        return {}

    def load_state_dict(self, state: StateDict) -> None:
        """Do nothing, since nothing was saved."""


class RandomPolicy:
    """Draws every agent's action uniformly among those that the agent has and may take."""

    def __init__(self, spec: Spec, stream: Stream):
        self._stream, self._counter = stream, 0
        self._num_actions = torch.tensor(
            spec.num_actions, dtype=torch.float32, device=stream.device
        )
        self._missing = missing_actions(spec, stream.device)
        self._draws: Blocks | None = None

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        forbidden = forbidden_actions(step, self._missing)
        if self._draws is None:
            prepare = self._choose if forbidden is None else None
            # Long rows are drawn and multiplied in half of the time that rows of a few agents take.
            self._num_actions = self._num_actions.expand_as(step.reward[0]).flatten()
            self._draws = Blocks(self._stream, len(self._num_actions), prepare=prepare)
        draws = self._draws(self._counter).view_as(step.reward)
        self._counter += 1
        return draws if forbidden is None else uniform_action(draws, forbidden)

    def _choose(self, numbers: Tensor) -> tuple[Tensor]:
        return ((numbers * self._num_actions).long(),)

    def state_dict(self) -> StateDict:
        """Return the random stream's position."""
        return {"counter": self._counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._counter = state["counter"]
