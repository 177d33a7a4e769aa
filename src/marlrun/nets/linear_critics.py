"""Critics that are linear in features: Q(s, a), V(s), or a model of the reward R(s, a).

Shapes: R replicas, B samples, N agents, A actions, P features, which are parameters of a critic.
"""

import torch
from torch import Tensor

from marlrun.nets.features import ActionFeatures, Sight, StateFeatures
from marlrun.types import Seeds


class _Linear:
    """w^i . phi, from w = 0: all agents start equal."""

    def __init__(
        self, sight: Sight, size: int, seeds: Seeds, num_agents: int, device: torch.device
    ):
        self.sight = sight
        self.parameters = torch.zeros(len(seeds), num_agents, size, device=device)

    def ascend(self, tape: Tensor, grad: Tensor, adapted: Tensor) -> None:
        """See `StateCritic`; the tape is the features."""
        samples, grad = grad.shape[1], grad.unsqueeze(-1)
        if samples == 1:
            adapted.addcmul_(grad[:, 0], tape[:, 0])
        else:
            adapted.add_((grad * tape[:, :samples]).sum(1))

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
