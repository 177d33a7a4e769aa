"""Many networks of one shape, stacked: every member's parameters are one row of one tensor.

A row holds everything a member has learned, so copying a target network, an Adam step, or mixing
neighbours' critics is one operation on [members, P]. The member axis runs over (replica, agent),
agents fastest.

Where a member's matrices start within 16 bytes decides the order in which a CPU sums (MKL), so all
members' must start alike, or a member's last bits would depend on its company. Hence layers are
rounded up to multiples of 4 units. The units added are dead: their weights, in and out, are zero, so
their outputs are zero (ReLU, LSTM, GRU) and so are all gradients, and any step and any mixing leaves
them dead. Rows are rounded up to 16, for Adam takes numbers so and rounds the rest of a tensor
otherwise; so does the sigmoid of a cell, whose units are rounded likewise. Thin outputs are summed
in an order of their own and need none.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from marlrun.ops.alignment import ALIGNED, VECTOR
from marlrun.streams import Stream
from marlrun.types import Seeds

Shapes = Mapping[str, tuple[int, ...]]
"""Of matrices; columns may have several dimensions, as gates * units."""

THIN = 8
"""A product with fewer columns is some five times as fast transposed on a CPU (MKL)."""


def rounded(width: int) -> int:
    """Return the units of a hidden layer, with dead ones."""
    return width + -width % ALIGNED


def rounded_cell(width: int) -> int:
    """Return the units of a recurrent cell, with dead ones.

    torch's sigmoid takes 16 numbers at a time, and rounds the rest of a tensor otherwise.
    """
    return width + -width % VECTOR


def rounded_output(width: int) -> int:
    """Return the units of an output layer, with dead ones."""
    return width if width < THIN else rounded(width)


def perceptron_shapes(widths: Sequence[int]) -> Shapes:
    """Return the matrices of linear layers of `widths` [I, hidden.., J], in the order of a row."""
    shapes: Shapes = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= {f"{layer}.weight": (inputs, outputs), f"{layer}.bias": (1, outputs)}
    return shapes


def row_size(shapes: Shapes) -> int:
    """Return P, the number of floats of one member."""
    return sum(math.prod(shape) for shape in shapes.values())


def views(rows: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """Name the matrices in `rows` [M, P or more]: name -> view [M, I, J], sharing its memory."""
    parts = _parts(rows, shapes)
    return {name: part.flatten(rows.dim()) for name, part in parts.items()}


def widened(rows: Tensor, live: Shapes, shapes: Shapes) -> Tensor:
    """Return `rows` [M, P] of shapes `live` among the zeros of dead units: rows of `shapes`."""
    size = row_size(shapes)
    wide = rows.new_zeros(len(rows), size + -size % VECTOR)
    parts = _parts(wide, shapes)
    for name, part in _parts(rows, live).items():
        parts[name][(..., *map(slice, live[name]))] = part
    return wide


def _parts(rows: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    sizes = [math.prod(shape) for shape in shapes.values()]
    # What is beyond is a part as well: a slice before would cost autograd another copy.
    *parts, _ = torch.split(rows, [*sizes, rows.shape[-1] - sum(sizes)], dim=-1)
    return {
        name: part.view(*rows.shape[:-1], *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def xavier_rows(
    shapes: Shapes, seeds: Seeds, num_agents: int, bias: float, device: torch.device
) -> Tensor:
    """Draw rows [R * N, P]: Xavier-uniform (Glorot & Bengio 2010); what is named bias = `bias`."""
    uniform = Stream(seeds, "init", device).uniform(0, num_agents, row_size(shapes))
    rows = uniform.flatten(0, 1)
    for name, part in views(rows, shapes).items():
        if name.endswith("bias"):
            part.fill_(bias)
        else:
            limit = math.sqrt(6.0 / (part.shape[-2] + part.shape[-1]))
            part.mul_(2 * limit).sub_(limit)
    return rows


def orthogonal_rows(
    shapes: Shapes, seeds: Seeds, num_agents: int, bias: float, device: torch.device
) -> Tensor:
    """Draw rows [R * N, P]: orthogonal matrices; what is named bias = `bias`.

    Saxe et al. (ICLR 2014). They are computed on the CPU, so that all devices get the same numbers.
    """
    rows = torch.empty(len(seeds) * num_agents, row_size(shapes))
    for name, part in views(rows, shapes).items():
        if name.endswith("bias"):
            part.fill_(bias)
        else:
            stream = Stream(seeds, f"init/{name}", torch.device("cpu"))
            part.copy_(_orthogonal(stream, num_agents, *part.shape[1:]))
    return rows.to(device)


def _orthogonal(stream: Stream, num_agents: int, inputs: int, outputs: int) -> Tensor:
    """Return float64 [R * N, I, J]: rows or columns, whichever are fewer, are orthonormal.

    More columns than are asked for are drawn, so that all members' matrices start alike.
    """
    long, short = max(inputs, outputs), min(inputs, outputs)
    size = long * rounded(short)
    uniform = stream.uniform(0, num_agents, 2, rounded_cell(size)).double().flatten(0, 1)
    # Box & Muller (1958); 1 - u is in (0, 1], where the logarithm is finite.
    radius = (1 - uniform[:, 0]).log_().mul_(-2).sqrt_()
    normal = radius * (2 * math.pi * uniform[:, 1]).cos_()
    matrices = normal[:, :size].view(-1, long, rounded(short))
    columns, triangle = cast("tuple[Tensor, Tensor]", torch.linalg.qr(matrices))
    # With these signs all orthogonal matrices are equally likely (Mezzadri 2007).
    columns = columns * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(1)
    return columns[..., :short] if inputs >= outputs else columns[..., :short].mT


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply each member's affine map: x [M, B, I], weight [M, I, J], bias [M, 1, J] -> [M, B, J]."""
    if len(x) == 1:
        # torch multiplies a lone matrix by another routine, which sums in another order.
        return linear(*(y.expand(2, -1, -1) for y in (x, weight, bias)))[:1]
    if weight.shape[-1] < THIN:
        return torch.baddbmm(bias.mT, weight.mT, x.mT).mT
    return torch.baddbmm(bias, x, weight)


def placed(grad: Tensor, width: int) -> Tensor:
    """Return the gradient by outputs, [M, B, J], with zeros for dead ones: [M, B, `width`].

    Every member's starts at a multiple of 16 bytes.
    """
    _, batch, size = grad.shape
    if size < width:
        return torch.nn.functional.pad(grad, (0, width - size))
    if batch == 1 or batch * size % ALIGNED == 0:
        return grad
    room = grad.new_empty(len(grad), rounded(batch * size))
    return room[:, : batch * size].view(grad.shape).copy_(grad)


def linear_backward_parameters(
    x: Tensor, grad: Tensor, grad_weight: Tensor, grad_bias: Tensor
) -> None:
    """Store the gradients of `linear`'s parameters into `grad_weight` and `grad_bias`."""
    if grad.shape[-1] < THIN:
        # A lone matrix is multiplied twice, as in `linear`.
        members = max(2, len(x))
        product = torch.bmm(*(y.expand(members, -1, -1) for y in (grad.mT, x)))
        grad_weight.copy_(product[: len(x)].mT)
    else:
        torch.bmm(x.mT, grad, out=grad_weight)
    torch.sum(grad, 1, keepdim=True, out=grad_bias)
