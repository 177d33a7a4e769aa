"""Critics of all agents, linear or neural: Q(s, a), V(s), or a model of the reward R(s, a).

Shapes: R replicas, B samples, N agents, O observation, S states, A actions, P parameters of a critic.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from marlrun.nets.features import (
    ActionFeatures,
    LocalOfAction,
    LocalOfState,
    RandomOfAction,
    RandomOfState,
    Sight,
    StateFeatures,
    TeamOfAction,
    TeamOfState,
    common_state,
    joint_observation,
    own_observation,
)
from marlrun.nets.mlp import MLP, num_parameters
from marlrun.streams import derive
from marlrun.system import capacity
from marlrun.types import Seeds, Spec

Kind = Literal["linear", "neural"]
Features = Literal["random", "team", "local"]


class StateCritic(Protocol):
    """A value of the state, one critic an agent."""

    parameters: Tensor
    """[R, N, P], changed in place."""
    sight: Sight

    def forward(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return values [R, B, N] and what `ascend` needs."""
        ...

    def ascend(self, tape: Any, grad: Tensor, moved: Tensor) -> None:
        """Add to `moved` [R, N, P] the gradient of sum_B grad [R, B, N] values by the parameters.

        B may be less than in `forward`: the first samples. `moved` may be the parameters.
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

    def ascend(self, tape: Any, grad: Tensor, moved: Tensor) -> None:
        """See `StateCritic`."""
        ...

    def own_values(self, sight: Tensor, action: Tensor) -> Tensor:
        """Return Q^i(s, b, a^-i) for every own action b: [R, B, N, A], or less what all share."""
        ...


class _Linear:
    """w^i . phi, from w = 0: all agents start equal."""

    def __init__(
        self, sight: Sight, size: int, seeds: Seeds, num_agents: int, device: torch.device
    ):
        self.sight = sight
        self.parameters = torch.zeros(len(seeds), num_agents, size, device=device)

    def ascend(self, tape: Tensor, grad: Tensor, moved: Tensor) -> None:
        """See `StateCritic`; the tape is the features."""
        samples, grad = grad.shape[1], grad.unsqueeze(-1)
        if samples == 1:
            moved.addcmul_(grad[:, 0], tape[:, 0])
        else:
            moved.add_((grad * tape[:, :samples]).sum(1))

    def _values(self, features: Tensor) -> Tensor:
        # Not a product with ones, though half as slow: its sums depend on the number of rows.
        return (features * self.parameters.unsqueeze(1)).sum(-1)


class LinearV(_Linear):
    """A linear value of the state; `features(sight)` are [R, B, 1 or N, P]."""

    def __init__(
        self,
        features: StateFeatures,
        sight: Sight,
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
    ):
        super().__init__(sight, features.size, seeds, num_agents, device)
        self.features = features

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateCritic`."""
        features = self.features(sight)
        return self._values(features), features


class LinearQ(_Linear):
    """A linear value of state and joint action; `features(sight, action)` are [R, B, 1 or N, P]."""

    def __init__(
        self,
        features: ActionFeatures,
        sight: Sight,
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
    ):
        super().__init__(sight, features.size, seeds, num_agents, device)
        self.features = features

    def forward(self, sight: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """See `ActionCritic`."""
        features = self.features(sight, action)
        return self._values(features), features

    def own_values(self, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionCritic`."""
        return self.features.own_values(self.parameters, sight, action)


class _Neural:
    """A multilayer perceptron per agent, all on the same input, each from weights of its own."""

    def __init__(
        self,
        sight: Sight,
        sizes: Sequence[int],
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
    ):
        self.sight = sight
        self._net = MLP([*sizes, 1], seeds, num_agents, device)
        self._shape = len(seeds), num_agents
        self.parameters = self._net.rows.view(*self._shape, -1)

    def ascend(self, tape: list[Tensor], grad: Tensor, moved: Tensor) -> None:
        """See `StateCritic`."""
        grad = grad.transpose(1, 2).flatten(0, 1).unsqueeze(-1)
        tape = [x[:, : grad.shape[1]] for x in tape]
        moved.add_(self._net.backward(tape, grad).view_as(moved))

    def _values(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the values [R, B, N] of what agents see, x [R, N, B, I]."""
        value, tape = self._net.forward(x.flatten(0, 1))
        return value.view(*self._shape, -1).transpose(1, 2), tape

    def _to_all(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, self._shape[1], -1, -1)


class NeuralV(_Neural):
    """A neural value of the state, or of the joint observation."""

    def forward(self, sight: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `StateCritic`."""
        return self._values(self._to_all(sight))


class NeuralQ(_Neural):
    """A neural value of the state, or the joint observation, and the actions of all, one-hot."""

    def __init__(
        self,
        sight: Sight,
        sizes: Sequence[int],
        num_actions: int,
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
    ):
        inputs, *hidden = sizes
        super().__init__(
            sight, [inputs + num_agents * num_actions, *hidden], seeds, num_agents, device
        )
        self._one_hot = torch.eye(num_actions, device=device)
        self._is_own = torch.eye(num_agents, dtype=torch.bool, device=device)[:, None, :, None]

    def forward(self, sight: Tensor, action: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `ActionCritic`."""
        x = torch.cat((sight, self._taken(action).flatten(2)), -1)
        return self._values(self._to_all(x))

    def own_values(self, sight: Tensor, action: Tensor) -> Tensor:
        """See `ActionCritic`."""
        (replicas, num_agents), num_actions = self._shape, len(self._one_hot)
        taken = self._taken(action)[:, :, None, None]
        joint = torch.where(self._is_own, self._one_hot[:, None], taken).flatten(-2)
        seen = sight[:, :, None, None].expand(*joint.shape[:-1], -1)
        x = torch.cat((seen, joint), -1).transpose(1, 2)
        values, _ = self._values(x.reshape(replicas, num_agents, -1, x.shape[-1]))
        return values.view(replicas, -1, num_actions, num_agents).transpose(2, 3)

    def _taken(self, action: Tensor) -> Tensor:
        return torch.nn.functional.embedding(action, self._one_hot)


def action_critic(
    name: str,
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    *,
    critic: Kind,
    features: Features,
    num_features: int,
    hidden: Sequence[int],
    constant: bool = False,
) -> ActionCritic:
    """Return critics of state and joint action; `name` names their random numbers.

    `constant`: may the features of `team` add up to a constant? Not for a relative value, which is
    free to move by one; but a model of the reward needs it.
    """
    seeds = [derive(seed, name) for seed in seeds]
    num_agents, num_actions = spec.num_agents, max(spec.num_actions)
    company = f"with {num_agents} agents, replicas={len(seeds)}"
    if critic == "neural":
        sight, size = _whole(spec)
        layers = [size + num_agents * num_actions, *hidden, 1]
        # Parameters with their steps, and what is computed for every own action.
        numbers = 4 * num_parameters(layers) + 3 * num_actions * sum(layers)
        keys = f"algo.critic_hidden={list(hidden)} {company}"
        capacity.check(4 * len(seeds) * num_agents * numbers, device, keys)
        return NeuralQ(sight, [size, *hidden], num_actions, seeds, num_agents, device)
    if features == "local":
        local = LocalOfAction(max(spec.obs_sizes), num_actions)
        return LinearQ(local, own_observation, seeds, num_agents, device)
    num_states = _num_states(spec, features)
    if features == "team":
        numbers = 4 * (num_states + num_agents * num_actions)
        capacity.check(
            4 * len(seeds) * num_agents * numbers, device, f"algo.features=team {company}"
        )
        of_team = TeamOfAction(num_states - (not constant), num_agents, num_actions)
        return LinearQ(of_team, common_state, seeds, num_agents, device)
    keys = f"algo.num_features={num_features} {company}"
    # Random numbers of 64 bits for every own action, and the features made of them.
    capacity.check(4 * len(seeds) * num_agents * num_features * (3 * num_actions + 2), device, keys)
    random = RandomOfAction(num_agents, num_actions, num_features, seeds, device)
    return LinearQ(random, common_state, seeds, num_agents, device)


def state_critic(
    name: str,
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    *,
    critic: Kind,
    features: Features,
    num_features: int,
    hidden: Sequence[int],
) -> StateCritic:
    """Return critics of the state; `name` names their random numbers."""
    seeds = [derive(seed, name) for seed in seeds]
    if critic == "neural":
        sight, size = _whole(spec)
        numbers = 4 * num_parameters([size, *hidden, 1])
        keys = f"algo.critic_hidden={list(hidden)} with {spec.num_agents} agents"
        keys = f"{keys}, replicas={len(seeds)}"
        capacity.check(4 * len(seeds) * spec.num_agents * numbers, device, keys)
        return NeuralV(sight, [size, *hidden], seeds, spec.num_agents, device)
    if features == "local":
        local = LocalOfState(max(spec.obs_sizes))
        return LinearV(local, own_observation, seeds, spec.num_agents, device)
    num_states = _num_states(spec, features)
    if features == "team":
        return LinearV(TeamOfState(num_states), common_state, seeds, spec.num_agents, device)
    keys = f"algo.num_features={num_features} env.num_states={num_states} replicas={len(seeds)}"
    capacity.check(4 * len(seeds) * 4 * num_states * num_features, device, keys)
    random = RandomOfState(num_states, num_features, seeds, device)
    return LinearV(random, common_state, seeds, spec.num_agents, device)


def _whole(spec: Spec) -> tuple[Sight, int]:
    """Return what shows everything there is to see, and its size."""
    if spec.num_states is not None:
        return common_state, spec.num_states
    return joint_observation, spec.num_agents * max(spec.obs_sizes)


def _num_states(spec: Spec, features: str) -> int:
    if spec.num_states is None:
        raise ValueError(
            f"algo.features={features}: expected local, or algo.critic=neural: "
            "this environment has no common one-hot state"
        )
    return spec.num_states
