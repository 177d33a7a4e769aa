"""Multilayer perceptrons, stacked over members, with their gradient by hand (docs/decisions/1).

Autograd cannot train them; `nets/module.py` has those that it can.

Shapes: M members, B batch, I inputs, J outputs, P parameters of a member.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from marlrun.nets.stacked import (
    Shapes,
    linear,
    linear_backward_parameters,
    perceptron_shapes,
    placed,
    rounded,
    rounded_output,
    views,
    widened,
    xavier_rows,
)
from marlrun.types import Seeds

Tape = list[Tensor]
"""The input of every layer, each [M, B, features]."""


def num_parameters(sizes: Sequence[int]) -> int:
    """Return how many weights and biases layers of `sizes` [I, hidden.., J] have."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))


class MLP:
    """Linear layers with ReLU between them, and the parameters of all members."""

    def __init__(self, sizes: Sequence[int], seeds: Seeds, num_agents: int, device: torch.device):
        """Draw Xavier-uniform weights, zero biases; `sizes` is [I, hidden.., J]."""
        inputs, *hidden, outputs = sizes
        self._num_outputs, self._width = outputs, rounded_output(outputs)
        # Where inputs start matters to a thin output alone.
        self._dead_inputs = 0 if hidden else rounded(inputs) - inputs
        widths = [inputs + self._dead_inputs, *map(rounded, hidden), self._width]
        live, shapes = perceptron_shapes(sizes), perceptron_shapes(widths)
        self.rows = widened(xavier_rows(live, seeds, num_agents, 0.0, device), live, shapes)
        """[M, P], changed in place by whoever trains it."""
        self._gradient = torch.zeros_like(self.rows)
        self._layers = _layers(self.rows, shapes)
        self._grads = _layers(self._gradient, shapes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tape]:
        """Return y [M, B, J] of x [M, B, I], and the tape; RuntimeError where autograd would be lost."""
        if self.rows.requires_grad:
            raise RuntimeError(
                "nets.mlp.MLP has its gradient by hand, autograd would not reach its rows: "
                "use nets.module.MLP"
            )
        if self._dead_inputs:
            x = torch.nn.functional.pad(x, (0, self._dead_inputs))
        tape = [x]
        *hidden, last = self._layers
        for weight, bias in hidden:
            tape.append(linear(tape[-1], weight, bias).relu_())
        return linear(tape[-1], *last)[..., : self._num_outputs], tape

    def backward(self, tape: Tape, grad: Tensor) -> Tensor:
        """Return the gradient by the rows [M, P], given that by y; the next call overwrites it."""
        grad = placed(grad, self._width)
        layers = list(zip(tape, self._layers, self._grads, strict=True))
        for layer, (x, (weight, _), grads) in reversed(list(enumerate(layers))):
            _backward_parameters(x, grad, *grads)
            if layer > 0:
                grad = torch.bmm(grad, weight.mT).mul_(x.sign())
        return self._gradient


def _layers(rows: Tensor, shapes: Shapes) -> list[tuple[Tensor, Tensor]]:
    parts = list(views(rows, shapes).values())
    return list(zip(parts[::2], parts[1::2], strict=True))


def _backward_parameters(x: Tensor, grad: Tensor, grad_weight: Tensor, grad_bias: Tensor) -> None:
    """Store a layer's gradients; of one sample they are an outer product, which needs no matmul."""
    if grad.shape[1] == 1:
        torch.mul(x.mT, grad, out=grad_weight)
        grad_bias.copy_(grad)
    else:
        linear_backward_parameters(x, grad, grad_weight, grad_bias)
