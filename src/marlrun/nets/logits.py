"""What policies are made of: logits of all agents, each agent's from its own parameters.

Shapes: R replicas, E copies, N agents, O observation, S states, A actions, P parameters of a policy.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from marlrun.nets.features import first_zero
from marlrun.nets.mlp import MLP
from marlrun.nets.stacked import xavier_rows
from marlrun.streams import Stream, derive
from marlrun.types import Seeds, Spec


class Logits(Protocol):
    """Logits and their gradient; what it sees is the state [R, E, S] or observations [R, E, N, O]."""

    parameters: Tensor
    """[R, N, P], changed in place."""
    sees_state: bool

    def forward(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return logits [R, E, N, A] and what `backward` needs."""
        ...

    def backward(self, tape: Any, grad: Tensor) -> Tensor:
        """Return the gradient by the parameters, given that by the logits: [R, N, P].

        The next call may overwrite it.
        """
        ...

    def ascend(self, tape: Any, grad: Tensor) -> None:
        """Add that gradient to the parameters."""
        ...


class _Ascending:
    """Logits whose gradient is made before it is added."""

    parameters: Tensor

    def backward(self, tape: Any, grad: Tensor) -> Tensor:
        """See `Logits`."""
        raise NotImplementedError

    def ascend(self, tape: Any, grad: Tensor) -> None:
        """See `Logits`."""
        self.parameters.add_(self.backward(tape, grad))


class Boltzmann(_Ascending):
    """theta^i . q(s, a^i), with features U[0, 1) from each replica's seed; starts at theta = 0.

    Zhang et al. (ICML 2018), experiments.
    """

    sees_state = True

    def __init__(self, spec: Spec, num_features: int, seeds: Seeds, device: torch.device):
        num_states, num_actions = spec.num_states or 0, max(spec.num_actions)
        self._shape = spec.num_agents, num_actions, num_features
        stream = Stream(seeds, "policy features", device)
        self.features = stream.uniform(0, num_states, *self._shape)
        """[R, S, N, A, P]."""
        self.parameters = torch.zeros(len(seeds), spec.num_agents, num_features, device=device)

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        features = (sight @ self.features.flatten(2)).view(*sight.shape[:2], *self._shape)
        return (features * self.parameters[:, None, :, None]).sum(-1), features

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        return (grad.unsqueeze(-1) * tape).sum((1, 3))


class Tabular(_Ascending):
    """A logit per state and action but the first, whose logit is 0; starts uniform."""

    sees_state = True

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device):
        shape = spec.num_states or 0, max(spec.num_actions) - 1
        self._table = torch.zeros(len(seeds), spec.num_agents, *shape, device=device)
        self.parameters = self._table.view(*self._table.shape[:2], -1)

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        logits = torch.einsum("res,rnsa->rena", sight, self._table)
        return first_zero(logits), sight

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        return torch.einsum("res,rena->rnsa", tape, grad[..., 1:]).flatten(2)


class Linear(_Ascending):
    """Logits linear in the own observation, made for many agents: agents are the last axis in memory.

    Operations run along it, where a few actions or observations side by side would be slow.
    """

    sees_state = False

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device):
        inputs, actions, num_agents = max(spec.obs_sizes), max(spec.num_actions), spec.num_agents
        shapes = {"weight": (inputs, actions), "bias": (1, actions)}
        rows = xavier_rows(shapes, _own_seeds(seeds), num_agents, 0.0, device)
        self._rows = rows.view(len(seeds), num_agents, -1).mT.contiguous()
        self._gradient = torch.zeros_like(self._rows)
        self.parameters = self._rows.mT
        shape = len(seeds), inputs + 1, actions, num_agents
        rows, gradient = self._rows.view(shape), self._gradient.view(shape)
        self._weight, self._bias = rows[:, :inputs], rows[:, inputs:]
        self._grads = gradient[:, :inputs], gradient[:, inputs:]

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        x = sight.mT.contiguous().unsqueeze(3)
        logits = (x * self._weight.unsqueeze(1)).sum(2) + self._bias
        return logits.mT, x

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        (of_weight, of_bias), grad = self._grads, grad.mT.unsqueeze(2)
        if tape.shape[1] == 1:
            torch.mul(tape[:, 0], grad[:, 0], out=of_weight)
        else:
            of_weight.copy_((tape * grad).sum(1))
        of_bias.copy_(grad.sum(1))
        return self._gradient.mT

    def ascend(self, tape: Tensor, grad: Tensor) -> None:
        """See `Logits`; of one sample without a gradient in between."""
        if tape.shape[1] > 1:
            super().ascend(tape, grad)
        else:
            grad = grad.mT
            self._weight.addcmul_(tape[:, 0], grad)
            self._bias.add_(grad)


class Neural(_Ascending):
    """A multilayer perceptron on the own observation."""

    sees_state = False

    def __init__(self, spec: Spec, hidden: Sequence[int], seeds: Seeds, device: torch.device):
        sizes = [max(spec.obs_sizes), *hidden, max(spec.num_actions)]
        self._net = MLP(sizes, _own_seeds(seeds), spec.num_agents, device)
        self._shape = len(seeds), spec.num_agents
        self.parameters = self._net.rows.view(*self._shape, -1)

    def forward(self, sight: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `Logits`."""
        logits, tape = self._net.forward(sight.transpose(1, 2).flatten(0, 1))
        return logits.view(*self._shape, *logits.shape[1:]).transpose(1, 2), tape

    def backward(self, tape: list[Tensor], grad: Tensor) -> Tensor:
        """See `Logits`."""
        rows = self._net.backward(tape, grad.transpose(1, 2).flatten(0, 1))
        return rows.view_as(self.parameters)


def _own_seeds(seeds: Seeds) -> Seeds:
    """Return seeds for initial weights unlike those of critics."""
    return [derive(seed, "actor") for seed in seeds]
