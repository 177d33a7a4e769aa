"""The networks of discriminators: each agent has its own, which scores what it sees and does.

Shapes: R replicas, B transitions, N agents, O observation, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from marlrun.nets.masks import masked, missing_features
from marlrun.nets.mlp import num_parameters
from marlrun.nets.module import Activation
from marlrun.nets.per_agent import Central, PerAgent
from marlrun.ops.moments import RunningMoments
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict

_FAR = 10.0
"""Normalised observations further from 0 are clipped."""


@dataclass(frozen=True)
class ScoreSettings:
    """Those keys of the node `discriminator` of conf/algo/ma_airl.yaml that make the networks."""

    view: Literal["own", "all"]
    inputs: Literal["state", "state_action"]
    hidden: Sequence[int]
    activation: Activation
    normalise: bool


def state_only(settings: ScoreSettings) -> ScoreSettings:
    """Return the same settings of networks that do not see actions."""
    return replace(settings, inputs="state")


@dataclass(frozen=True)
class DiscriminatorSettings(ScoreSettings):
    """All keys of that node, where each is explained."""

    steps: int
    batch: int
    lr: float
    lr_final: float
    l2: float


class Inputs:
    """Observations as discriminators see them: without padding, normalised where that is asked for."""

    def __init__(self, spec: Spec, num_replicas: int, device: torch.device, *, normalise: bool):
        self._missing = missing_features(spec, device)
        sizes = (num_replicas, spec.num_agents, max(spec.obs_sizes))
        self.moments = RunningMoments(*sizes, device, shared=False) if normalise else None

    def __call__(self, obs: Tensor) -> Tensor:
        """Return observations [R, B, N, O] as networks see them."""
        obs = masked(obs, self._missing, 0.0)
        if self.moments is None:
            return obs
        return self.moments.normalise(obs).clamp(-_FAR, _FAR)

    def take_in(self, obs: Tensor, counts: Tensor) -> None:
        """Add observations [R, B, N, O] that count, [R, B, N], to the moments that normalise."""
        if self.moments is not None:
            self.moments.add(masked(obs, self._missing, 0.0), counts.unsqueeze(-1))

    def state_dict(self) -> StateDict:
        """Return the moments, if there are any."""
        return {} if self.moments is None else self.moments.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        if self.moments is not None:
            self.moments.load_state_dict(state)


class Scores:
    """A number for each agent, by a network of its own: s_i(o_i) or s_i(o_i, a_i).

    With the view `all` it is s_i(o) or s_i(o, a) of all agents' observations and actions.
    """

    def __init__(
        self, spec: Spec, seeds: Seeds, device: torch.device, settings: ScoreSettings, *, name: str
    ):
        """Make the networks; ValueError if the memory cannot hold them."""
        self.settings = settings
        with_action = settings.inputs == "state_action"
        num_inputs = max(spec.obs_sizes) + (max(spec.num_actions) if with_action else 0)
        is_joint = settings.view == "all"
        sizes = [num_inputs * (spec.num_agents if is_joint else 1), *settings.hidden, 1]
        _check_room(sizes, spec, len(seeds), device, settings)
        make = Central if is_joint else PerAgent
        self._net = make(
            sizes,
            seeds,
            spec.num_agents,
            device,
            shared=False,
            name=name,
            activation=settings.activation,
        )
        self._choices = torch.arange(max(spec.num_actions), device=device) if with_action else None

    @property
    def rows(self) -> torch.nn.Parameter:
        """The parameters [R * N, P]."""
        return self._net.net.rows

    def __call__(self, seen: Tensor, action: Tensor) -> Tensor:
        """Return scores [R, B, N] of observations as seen [R, B, N, O] and actions [R, B, N]."""
        if self._choices is not None:
            one_hot = (action.unsqueeze(-1) == self._choices).float()
            seen = torch.cat((seen, one_hot), -1)
        return self._net(seen).squeeze(-1)


def _check_room(
    sizes: Sequence[int],
    spec: Spec,
    replicas: int,
    device: torch.device,
    settings: ScoreSettings,
) -> None:
    """Raise ValueError if the memory cannot hold networks of these sizes."""
    # Parameters, their gradient, Adam's two moments, and what is drawn at the beginning.
    numbers = 6 * replicas * spec.num_agents * num_parameters(sizes)
    keys = f"algo.discriminator.hidden={list(settings.hidden)} replicas={replicas}"
    capacity.check(4 * numbers, device, keys)
