"""The Q-network of paper 1: two layers, a recurrent cell, one layer, a linear head per action.

Omidshafiei et al. (ICML 2017): FC 32, FC 64, LSTM 64, FC 32 (ReLU), linear |A|; one network per
agent, stacked over members. Gradients are written out by hand (see `cells`); the test's oracle is
the same network made of `torch.nn` modules.

Shapes: M members, T steps, B batch, O features, H units of the cell, A actions.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.nets.cells import CELLS, Memory, Tape
from marlrun.nets.stacked import (
    Shapes,
    linear,
    linear_backward_parameters,
    placed,
    rounded,
    rounded_cell,
    rounded_output,
    views,
    widened,
    xavier_rows,
)
from marlrun.system import capacity
from marlrun.types import Seeds


class QTape(NamedTuple):
    """Activations of an unroll, each [M, T, B, features], for the backward."""

    x: Tensor
    first: Tensor
    second: Tensor
    cell: Tape
    last: Tensor

    def but_last(self) -> "QTape":
        """Return all steps but the last (views)."""
        x, first, second, cell, last = self
        x, first, second, last = (y[:, :-1] for y in (x, first, second, last))
        return QTape(x, first, second, cell.but_last(), last)


class RecurrentQ:
    """The network's shape and its functions; parameters are rows [M, P] that the caller owns.

    The first layer sees `obs_scale` times the observation; the paper's network has 1.
    """

    def __init__(
        self,
        obs_size: int,
        num_actions: int,
        cell: str,
        sizes: Sequence[int],
        forget_bias: float,
        obs_scale: float = 1.0,
    ):
        self.cell, self.obs_scale = CELLS[cell], obs_scale
        self.num_actions = num_actions
        self.forget_bias = forget_bias if cell == "lstm" else None
        self.sizes = list(sizes)
        first, second, units, last = sizes
        self.units, self._width = rounded_cell(units), rounded_output(num_actions)
        widths = [rounded(first), rounded(second), self.units, rounded(last)]
        self.live: Shapes = _shapes(obs_size, sizes, num_actions, self.cell.num_gates)
        """Without dead units (see `stacked`)."""
        self.shapes: Shapes = _shapes(obs_size, widths, self._width, self.cell.num_gates)

    def check_room(
        self,
        replicas: int,
        num_agents: int,
        batch: int,
        steps: int,
        device: torch.device,
        traces: str,
    ) -> None:
        """Raise ValueError if the memory cannot hold the networks, or a minibatch's activations.

        A minibatch is `batch` traces of so many `steps`; `traces` names the keys that say so.
        """
        members = replicas * num_agents
        # Two networks, Adam's gradient and two moments, and what is drawn at the beginning.
        networks = 6 * sum(map(prod, self.shapes.values()))
        keys = f"algo.sizes={self.sizes} replicas={replicas}"
        capacity.check(4 * members * networks, device, keys)
        # Each layer's output and its gradient; the cell's gates besides.
        activations = 2 * (sum(self.sizes) + 8 * self.sizes[2]) * batch * steps
        capacity.check(4 * members * activations, device, f"{traces} {keys}")

    def init(self, seeds: Seeds, num_agents: int, device: torch.device) -> Tensor:
        """Draw parameters [R * N, P]: Xavier-uniform weights, bias 0.01 (0 and forget in cells)."""
        rows = xavier_rows(self.live, seeds, num_agents, 0.01, device)
        bias = views(rows, self.live)["cell.bias"]
        bias.zero_()
        if self.forget_bias is not None:
            units = self.live["cell.bias"][-1]
            bias[..., units : 2 * units] = self.forget_bias
        return widened(rows, self.live, self.shapes)

    def initial_memory(self, members: int, batch: int, device: torch.device) -> Memory:
        """Return the memory of a cell that has seen nothing: zeros."""
        zeros = torch.zeros(members, batch, self.units, device=device)
        return (zeros,) * self.cell.num_memories

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.obs_scale == 1 else x * self.obs_scale

    def _encode(self, p: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = linear(x, p["first.weight"], p["first.bias"]).relu_()
        second = linear(first, p["second.weight"], p["second.bias"]).relu_()
        return first, second, linear(second, p["cell.weight_input"], p["cell.bias"])

    def _decode(self, p: dict[str, Tensor], hidden: Tensor) -> tuple[Tensor, Tensor]:
        last = linear(hidden, p["last.weight"], p["last.bias"]).relu_()
        return last, linear(last, p["head.weight"], p["head.bias"])[..., : self.num_actions]

    def step(self, p: dict[str, Tensor], x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Take one step: x [M, B, O], memory -> Q [M, B, A], new memory."""
        _, _, gates = self._encode(p, self._scaled(x))
        memory = self.cell.advance(gates, p["cell.weight_hidden"], memory)
        return self._decode(p, memory[0])[1], memory

    def unroll(self, p: dict[str, Tensor], x: Tensor) -> tuple[Tensor, QTape]:
        """Run over traces x [M, T, B, O] from zero memory; return Q [M, T, B, A] and the tape."""
        x, trace = self._scaled(x), x.shape[:3]
        first, second, gates = self._encode(p, x.flatten(1, 2))
        cell = self.cell.unroll(gates.view(*trace, -1), p["cell.weight_hidden"])
        last, q = self._decode(p, cell.hidden.flatten(1, 2))
        first, second, last, q = (y.view(*trace, -1) for y in (first, second, last, q))
        return q, QTape(x, first, second, cell, last)

    def backward(
        self, p: dict[str, Tensor], tape: QTape, grad_q: Tensor, grads: dict[str, Tensor]
    ) -> None:
        """Store the parameters' gradients into `grads`, given that of Q, grad_q [M, T, B, A]."""
        x, first, second, last = (
            y.flatten(1, 2) for y in (tape.x, tape.first, tape.second, tape.last)
        )
        cell = tape.cell

        def through(name: str, source: Tensor, grad: Tensor, weight: str = "weight") -> Tensor:
            """Store the gradients of a layer's parameters; return that of its input, `source`."""
            weight = f"{name}.{weight}"
            linear_backward_parameters(source, grad, grads[weight], grads[f"{name}.bias"])
            return torch.bmm(grad, p[weight].mT)

        grad_q = placed(grad_q.flatten(1, 2), self._width)
        # The sign of what a ReLU returns is its slope.
        grad = through("head", last, grad_q).mul_(last.sign())
        grad = through("last", cell.hidden.flatten(1, 2), grad).view_as(cell.hidden)
        weight = "cell.weight_hidden"
        grad = self.cell.backward(cell, grad, p[weight], grads[weight]).flatten(1, 2)
        grad = through("cell", second, grad, "weight_input").mul_(second.sign())
        grad = through("second", first, grad).mul_(first.sign())
        linear_backward_parameters(x, grad, grads["first.weight"], grads["first.bias"])


def _shapes(obs_size: int, sizes: Sequence[int], num_actions: int, gates: int) -> Shapes:
    first, second, units, last = sizes
    return {
        "first.weight": (obs_size, first),
        "first.bias": (1, first),
        "second.weight": (first, second),
        "second.bias": (1, second),
        "cell.weight_input": (second, gates, units),
        "cell.weight_hidden": (units, gates, units),
        "cell.bias": (1, gates, units),
        "last.weight": (units, last),
        "last.bias": (1, last),
        "head.weight": (last, num_actions),
        "head.bias": (1, num_actions),
    }
