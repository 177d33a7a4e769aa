"""Features of linear critics: of a state, or of a state and a joint action.

Shapes: R replicas, B samples, N agents, O observation, S states, A actions, K features. What
features see of a step is [R, B, ..]: the one-hot state [R, B, S] (`random`, `team`) or the own
observations [R, B, N, O] (`local`).
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from marlrun.nets.masks import masked, missing_features
from marlrun.streams import Stream, mix
from marlrun.types import Seeds, Spec, Step

Sight = Callable[[Step], Tensor]
"""What a critic sees of a step: [R, E, ..]."""


def own_observation(spec: Spec, device: torch.device) -> Sight:
    """Return what shows each agent's observation: [R, E, N, O], with zeros in the padding."""
    missing = missing_features(spec, device)
    return lambda step: masked(step.obs, missing, 0.0)


def common_state(step: Step) -> Tensor:
    """Return the state, which all critics see: [R, E, S]."""
    assert step.state is not None
    return step.state


def joint_observation(spec: Spec, device: torch.device) -> Sight:
    """Return what shows all agents' observations: [R, E, N * O], with zeros in the padding."""
    missing = missing_features(spec, device)
    return lambda step: masked(step.obs, missing, 0.0).flatten(2)


class StateFeatures(Protocol):
    """Features of a state."""

    size: int
    """K."""

    def __call__(self, sight: Tensor) -> Tensor:
        """Return [R, B, 1, K], the same for all agents, or [R, B, N, K]."""
        ...


class ActionFeatures(Protocol):
    """Features of a state and a joint action."""

    size: int
    """K."""

    def __call__(self, sight: Tensor, action: Tensor) -> Tensor:
        """Return [R, B, 1, K], the same for all agents, or [R, B, N, K]; `action` is [R, B, N]."""
        ...

    def own_values(self, w: Tensor, sight: Tensor, action: Tensor) -> Tensor:
        """Return w^i . phi(s, b, a^-i) for every own action b: [R, B, N, A], w being [R, N, K].

        What is the same for all own actions may be left out.
        """
        ...


class RandomOfState:
    """K numbers U[0, 1) per state, from each replica's own seed (Zhang et al. 2018, experiments)."""

    def __init__(self, num_states: int, num_features: int, seeds: Seeds, device: torch.device):
        self.size = num_features
        stream = Stream(seeds, "state features", device)
        self.table = stream.uniform(0, num_states, num_features)
        """[R, S, K]."""

    def __call__(self, sight: Tensor) -> Tensor:
        """See `StateFeatures`."""
        return (sight @ self.table).unsqueeze(2)


class RandomOfAction:
    """K numbers U[0, 1) per state and joint action, from each replica's own seed.

    None is stored: a pair's code is a sum of random 64-bit numbers, one for the state and one for
    each agent's action, and SplitMix64's finaliser makes the features of the code. The finaliser is
    a bijection, so only one pair in 2**64 shares a feature with another.
    """

    def __init__(
        self,
        num_agents: int,
        num_actions: int,
        num_features: int,
        seeds: Seeds,
        device: torch.device,
    ):
        self.size = num_features
        self._half = (num_features + 1) // 2
        bits = Stream(seeds, "action features", device).bits(0, self._half + 1 + num_agents)
        self._of_feature = bits[:, : self._half]
        self._of_state = bits[:, self._half, None]
        self._of_action = bits[:, None, self._half + 1 :]
        self._choices = torch.arange(num_actions, device=device)

    def __call__(self, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        return self._draw(self._codes(sight, action).unsqueeze(2))

    def own_values(self, w: Tensor, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        change = (self._choices - action.unsqueeze(-1)) * self._of_action.unsqueeze(-1)
        features = self._draw(self._codes(sight, action)[..., None, None] + change)
        return (features * w[:, None, :, None]).sum(-1)

    def _codes(self, sight: Tensor, action: Tensor) -> Tensor:
        """Return each pair's code: int64 [R, B]."""
        return sight.argmax(-1) * self._of_state + (action * self._of_action).sum(-1)

    def _draw(self, codes: Tensor) -> Tensor:
        """Turn codes [R, ..] into features [R, .., K]; a code's low and high half make two."""
        of_feature = self._of_feature.view(-1, *[1] * (codes.ndim - 1), self._half)
        halves = mix(codes.unsqueeze(-1) + of_feature).view(torch.int32)
        numbers = halves.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF) * 2.0**-24
        return numbers[..., : self.size]


class TeamOfState:
    """The one-hot state without its last entry, so that no combination is constant."""

    def __init__(self, num_states: int):
        self.size = num_states - 1

    def __call__(self, sight: Tensor) -> Tensor:
        """See `StateFeatures`."""
        return sight[..., : self.size].unsqueeze(2)


class LocalOfState:
    """Each agent's own observation.

    Where that is a one-hot state, some combination is constant, unlike the paper's and `TeamOfState`:
    a relative value may then drift by a constant. Agents who see different things mix weights of
    different features: no longer one V(s; v) for all.
    """

    def __init__(self, obs_size: int):
        self.size = obs_size

    def __call__(self, sight: Tensor) -> Tensor:
        """See `StateFeatures`."""
        return sight


class TeamOfAction:
    """The one-hot state and all agents' actions, one-hot without the first, less 1 / A.

    `num_states` may leave the last state out, so that no combination is constant.
    """

    def __init__(self, num_states: int, num_agents: int, num_actions: int):
        self.size = num_states + num_agents * (num_actions - 1)
        self._num_states, self._num_actions = num_states, num_actions

    def __call__(self, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        choices = torch.arange(1, self._num_actions, device=action.device)
        one_hots = (action.unsqueeze(-1) == choices).float().sub_(1 / self._num_actions)
        return torch.cat((sight[..., : self._num_states], one_hots.flatten(2)), -1).unsqueeze(2)

    def own_values(self, w: Tensor, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        of_action = w[..., self._num_states :]
        of_action = of_action.view(*w.shape[:2], w.shape[1], self._num_actions - 1)
        return _own_values(of_action.diagonal(dim1=1, dim2=2).mT, action)


class LocalOfAction:
    """Each agent's own observation and own action, one-hot without the first: any number of agents.

    See `LocalOfState`: agents mix weights of different features, not of one Q(s, a; w).
    """

    def __init__(self, obs_size: int, num_actions: int):
        self.size = obs_size + num_actions - 1
        self._obs_size, self._num_actions = obs_size, num_actions

    def __call__(self, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        features = sight.new_empty(*sight.shape[:-1], self.size)
        features[..., : self._obs_size] = sight
        choices = torch.arange(1, self._num_actions, device=action.device)
        torch.eq(action.unsqueeze(-1), choices, out=features[..., self._obs_size :])
        return features

    def own_values(self, w: Tensor, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionFeatures`."""
        return _own_values(w[..., self._obs_size :], action)


def _own_values(of_action: Tensor, action: Tensor) -> Tensor:
    """Return [R, B, N, A] of what own actions add, [R, N, A - 1]: 0 for the first."""
    return first_zero(of_action).unsqueeze(1).expand(-1, action.shape[1], -1, -1)


def first_zero(x: Tensor) -> Tensor:
    """Return x [.., N, A - 1] with a 0 before the first of its last dimension."""
    # Agents last in memory, as `score` has them.
    padded = x.new_zeros(*x.shape[:-2], x.shape[-1] + 1, x.shape[-2]).mT
    padded[..., 1:] = x
    return padded
