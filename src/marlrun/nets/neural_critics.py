"""Critics that are multilayer perceptrons: Q(s, a), V(s), or a model of the reward R(s, a).

Shapes: R replicas, B samples, N agents, A actions, I inputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.nets.features import Sight
from marlrun.nets.mlp import MLP
from marlrun.types import Seeds


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

    def ascend(self, tape: list[Tensor], grad: Tensor, adapted: Tensor) -> None:
        """See `StateCritic`."""
        grad = grad.transpose(1, 2).flatten(0, 1).unsqueeze(-1)
        tape = [x[:, : grad.shape[1]] for x in tape]
        adapted.add_(self._net.backward(tape, grad).view_as(adapted))

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
