"""Critics of all agents, linear or neural: Q(s, a), V(s), or a model of the reward R(s, a).

Shapes: R replicas, B samples, N agents, O observation, S states, A actions, P parameters of a critic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from marlrun.nets.features import (
    LocalOfAction,
    LocalOfState,
    RandomOfAction,
    RandomOfState,
    Sight,
    TeamOfAction,
    TeamOfState,
    common_state,
    joint_observation,
    own_observation,
)
from marlrun.nets.linear_critics import LinearQ, LinearV
from marlrun.nets.mlp import num_parameters
from marlrun.nets.neural_critics import NeuralQ, NeuralV
from marlrun.streams import derive
from marlrun.system import capacity
from marlrun.types import Seeds, Spec


@dataclass(frozen=True)
class CriticSettings:
    """The node `critic` of an algorithm's YAML, where each key is explained."""

    kind: Literal["linear", "neural"]
    features: Literal["random", "team", "local"]
    num_features: int
    hidden: Sequence[int]


class StateCritic(Protocol):
    """A value of the state, one critic an agent."""

    parameters: Tensor
    """[R, N, P], changed in place."""
    sight: Sight

    def forward(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return values [R, B, N] and what `ascend` needs."""
        ...

    def ascend(self, tape: Any, grad: Tensor, adapted: Tensor) -> None:
        """Add to `adapted` [R, N, P] the gradient of sum_B grad [R, B, N] values by the parameters.

        B may be less than in `forward`: the first samples. `adapted` may be the parameters.
        """
        ...


class ActionCritic(Protocol):
    """A value of state and joint action, one critic an agent."""

    parameters: Tensor
    """[R, N, P], changed in place."""
    sight: Sight

    def forward(self, sight: Tensor, action: Tensor) -> tuple[Tensor, Any]:
        """Return values [R, B, N] of `action` [R, B, N], and what `ascend` needs."""
        ...

    def ascend(self, tape: Any, grad: Tensor, adapted: Tensor) -> None:
        """See `StateCritic`."""
        ...

    def own_values(self, sight: Tensor, action: Tensor) -> Tensor:
        """Return Q^i(s, b, a^-i) for every own action b: [R, B, N, A].

        What is the same for all own actions may be left out.
        """
        ...


def action_critic(
    name: str,
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    settings: CriticSettings,
    *,
    constant: bool = False,
) -> ActionCritic:
    """Return critics of state and joint action; `name` names their random numbers.

    `constant` says whether the features of `team` may add up to a constant. Those of a relative
    value may not, for it is free to move by a constant; a model of the reward needs it.
    """
    seeds = [derive(seed, name) for seed in seeds]
    num_agents, num_actions = spec.num_agents, max(spec.num_actions)
    num_features, bytes_each = settings.num_features, 4 * len(seeds) * num_agents
    company = f"with {num_agents} agents, replicas={len(seeds)}"
    if settings.kind == "neural":
        sight, size = _whole(spec, device)
        layers = [size + num_agents * num_actions, *settings.hidden, 1]
        # Parameters with their steps, and what is computed for every own action.
        numbers = 4 * num_parameters(layers) + 3 * num_actions * sum(layers)
        keys = f"algo.critic.hidden={list(settings.hidden)} {company}"
        capacity.check(bytes_each * numbers, device, keys)
        layers = [size, *settings.hidden]
        return NeuralQ(sight, layers, num_actions, seeds, num_agents, device)
    if settings.features == "local":
        features, sight = (
            LocalOfAction(max(spec.obs_sizes), num_actions),
            own_observation(spec, device),
        )
    elif settings.features == "team":
        num_states = _num_states(spec, settings)
        numbers = 4 * (num_states + num_agents * num_actions)
        capacity.check(bytes_each * numbers, device, f"algo.critic.features=team {company}")
        features = TeamOfAction(num_states - (not constant), num_agents, num_actions)
        sight = common_state
    else:
        _num_states(spec, settings)
        # Random numbers of 64 bits for every own action, and the features made of them.
        numbers = num_features * (3 * num_actions + 2)
        keys = f"algo.critic.num_features={num_features} {company}"
        capacity.check(bytes_each * numbers, device, keys)
        features = RandomOfAction(num_agents, num_actions, num_features, seeds, device)
        sight = common_state
    return LinearQ(features, sight, seeds, num_agents, device)


def state_critic(
    name: str, spec: Spec, seeds: Seeds, device: torch.device, settings: CriticSettings
) -> StateCritic:
    """Return critics of the state; `name` names their random numbers."""
    seeds = [derive(seed, name) for seed in seeds]
    num_agents, num_features = spec.num_agents, settings.num_features
    if settings.kind == "neural":
        sight, size = _whole(spec, device)
        layers = [size, *settings.hidden]
        keys = f"algo.critic.hidden={list(settings.hidden)} with {num_agents} agents, "
        numbers = 4 * num_agents * num_parameters([*layers, 1])
        capacity.check(4 * len(seeds) * numbers, device, f"{keys}replicas={len(seeds)}")
        return NeuralV(sight, layers, seeds, num_agents, device)
    if settings.features == "local":
        features, sight = LocalOfState(max(spec.obs_sizes)), own_observation(spec, device)
    elif settings.features == "team":
        features, sight = TeamOfState(_num_states(spec, settings)), common_state
    else:
        num_states = _num_states(spec, settings)
        keys = f"algo.critic.num_features={num_features} env.num_states={num_states}"
        numbers = 4 * num_states * num_features
        capacity.check(4 * len(seeds) * numbers, device, f"{keys} replicas={len(seeds)}")
        features, sight = RandomOfState(num_states, num_features, seeds, device), common_state
    return LinearV(features, sight, seeds, num_agents, device)


def _whole(spec: Spec, device: torch.device) -> tuple[Sight, int]:
    """Return what shows everything there is to see, and its size."""
    size = spec.num_states or spec.state_size
    if size is not None:
        return common_state, size
    return joint_observation(spec, device), spec.num_agents * max(spec.obs_sizes)


def _num_states(spec: Spec, settings: CriticSettings) -> int:
    if spec.num_states is None:
        raise ValueError(
            f"algo.critic.features={settings.features}: expected local, or algo.critic.kind=neural: "
            "this environment has no common one-hot state"
        )
    return spec.num_states
