"""Perceptrons of all agents: each has its own, or all share one.

Shapes: R replicas, B batch, N agents, I inputs, J outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.nets.module import Activation
from marlrun.nets.perceptron import Perceptron
from marlrun.types import Seeds


class PerAgent(torch.nn.Module):
    """Maps what each agent sees, [R, B, N, I], to [R, B, N, J]."""

    def __init__(
        self,
        sizes: Sequence[int],
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
        *,
        shared: bool,
        name: str,
        activation: Activation,
        last_gain: float = 1.0,
    ):
        """Make networks of `sizes` [I, hidden.., J]; the rest is as in `nets.module.MLP`."""
        super().__init__()
        self._num_agents, self._shared = num_agents, shared
        self.net = Perceptron(
            sizes,
            seeds,
            1 if shared else num_agents,
            device,
            name=name,
            activation=activation,
            initial="orthogonal",
            last_gain=last_gain,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, B, N, J]."""
        if self._shared:
            y = self.net(x.flatten(1, 2))
            return y.view(*x.shape[:3], y.shape[-1])
        y = self.net(x.transpose(1, 2).flatten(0, 1))
        return y.view(-1, self._num_agents, *y.shape[1:]).transpose(1, 2)


class Central(torch.nn.Module):
    """Maps a state [R, B, I], or what all agents see [R, B, N, I / N], to numbers [R, B, N, 1].

    Where agents share, it is one network of N outputs.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
        *,
        shared: bool,
        name: str,
        activation: Activation,
    ):
        """Make networks of `sizes` [I, hidden.., 1]; the rest is as in `nets.module.MLP`."""
        super().__init__()
        self._members = 1 if shared else num_agents
        self.net = Perceptron(
            [*sizes[:-1], num_agents if shared else 1],
            seeds,
            self._members,
            device,
            name=name,
            activation=activation,
            initial="orthogonal",
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, B, N, 1]."""
        joint = x.flatten(2).unsqueeze(1).expand(-1, self._members, -1, -1).flatten(0, 1)
        values = self.net(joint).unflatten(0, (-1, self._members))
        return values.transpose(1, 2).flatten(2).unsqueeze(-1)
