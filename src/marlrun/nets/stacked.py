"""Many networks of one shape, stacked: every member's parameters are one row of one tensor.

A row holds everything a member has learned, so copying a target network, an Adam step, or mixing
neighbours' critics is one operation on [members, P]. The member axis runs over (replica, agent),
agents fastest.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from marlrun.streams import Stream
from marlrun.types import Seeds

Shapes = Mapping[str, tuple[int, ...]]

_THIN = 8
"""A product with fewer columns is some five times as fast transposed on a CPU (MKL)."""


def row_size(shapes: Shapes) -> int:
    """Return P, the number of floats of one member."""
    return sum(math.prod(shape) for shape in shapes.values())


def views(rows: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """Name the parts of `rows` [M, P]: name -> view [M, *shape], sharing its memory."""
    parts = torch.split(rows, [math.prod(shape) for shape in shapes.values()], dim=-1)
    return {
        name: part.view(*rows.shape[:-1], *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def xavier_rows(
    shapes: Shapes, seeds: Seeds, num_agents: int, bias: float, device: torch.device
) -> Tensor:
    """Draw rows [R * N, P]: Xavier-uniform (Glorot & Bengio 2010); shapes [1, J] = `bias`."""
    uniform = Stream(seeds, "init", device).uniform(0, num_agents, row_size(shapes))
    rows = uniform.flatten(0, 1)
    for part in views(rows, shapes).values():
        if part.shape[-2] == 1:
            part.fill_(bias)
        else:
            limit = math.sqrt(6.0 / (part.shape[-2] + part.shape[-1]))
            part.mul_(2 * limit).sub_(limit)
    return rows


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply each member's affine map: x [M, B, I], weight [M, I, J], bias [M, 1, J] -> [M, B, J]."""
    if weight.shape[-1] < _THIN:
        return torch.baddbmm(bias.mT, weight.mT, x.mT).mT
    return torch.baddbmm(bias, x, weight)


def linear_backward(
    x: Tensor, grad: Tensor, weight: Tensor, grad_weight: Tensor, grad_bias: Tensor
) -> Tensor:
    """Store the gradients of `linear` into `grad_weight`, `grad_bias`; return that of its input."""
    linear_backward_parameters(x, grad, grad_weight, grad_bias)
    return torch.bmm(grad, weight.mT)


def linear_backward_parameters(
    x: Tensor, grad: Tensor, grad_weight: Tensor, grad_bias: Tensor
) -> None:
    """Store the gradients of `linear`'s parameters, for a layer whose input needs none."""
    if grad.shape[-1] < _THIN:
        grad_weight.copy_(torch.bmm(grad.mT, x).mT)
    else:
        torch.bmm(x.mT, grad, out=grad_weight)
    torch.sum(grad, 1, keepdim=True, out=grad_bias)
