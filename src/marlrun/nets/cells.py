"""Recurrent cells stacked over members, unrolled over a trace, with their backward by hand.

`torch.func.vmap` has no rule for `nn.LSTM`, and autograd through a loop of small operations costs
more than the arithmetic. Here the caller projects a whole trace's inputs in one product, the
backward does all that is not recurrent for every step at once, and the recurrent weights get their
gradient from one product over the trace. tanh(x) is written 2 sigmoid(2x) - 1, or 1 - 2 sigmoid(-2x):
on a CPU torch's vectorised sigmoid is four times as fast as its tanh.

Shapes: M members, T steps, B batch, H units. Gates stand side by side in the last axis, in the
order of `torch.nn`: LSTM (i, f, g, o), GRU (r, z, n).
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Memory = tuple[Tensor, ...]
"""A cell's state between steps: the hidden state first, each [M, B, H]."""


class Tape(NamedTuple):
    """What an unroll leaves for its backward."""

    hidden: Tensor
    """[M, T, B, H]."""
    gates: Tensor
    """[M, T, B, G * H], activated."""
    saved: tuple[Tensor, ...]
    """Each [M, T, B, H], whatever else the cell needs."""

    def but_last(self) -> "Tape":
        """Return all steps but the last (views)."""
        saved = tuple(tensor[:, :-1] for tensor in self.saved)
        return Tape(self.hidden[:, :-1], self.gates[:, :-1], saved)


class Cell(Protocol):
    """A recurrent cell as three functions."""

    num_gates: int
    num_memories: int

    def unroll(self, gates: Tensor, weight: Tensor) -> Tape:
        """Run from zero memory over `gates` [M, T, B, G * H], the inputs' projections (overwritten).

        `weight` is [M, H, G * H].
        """
        ...

    def advance(self, gates: Tensor, weight: Tensor, memory: Memory) -> Memory:
        """Take one step: `gates` [M, B, G * H] (overwritten), memory -> new memory."""
        ...

    def backward(self, tape: Tape, grad: Tensor, weight: Tensor, grad_weight: Tensor) -> Tensor:
        """Turn the gradient of the hidden states [M, T, B, H] (overwritten) into that of `gates`.

        The gradient of `weight` is stored into `grad_weight`.
        """
        ...


def _tanh(x: Tensor, out: Tensor) -> Tensor:
    return torch.mul(x, 2, out=out).sigmoid_().mul_(2).sub_(1)


class LSTM:
    """Hochreiter & Schmidhuber (1997) with forget gate; c' = f c + i g, h' = o tanh c'.

    In an unroll tanh(x) is 1 - 2 s with s = sigmoid(-2x), so that i tanh(x) = i - 2 i s is one
    operation; its third gate holds s, not g.
    """

    num_gates = 4
    num_memories = 2

    def unroll(self, gates: Tensor, weight: Tensor) -> Tape:
        """See `Cell`; `saved` is c and s of tanh c."""
        parts = gates.chunk(4, -1)
        hidden, cells, squashed = gates.new_empty(3, *parts[0].shape)
        before, carry = None, None
        steps = zip(*(x.unbind(1) for x in (gates, *parts, hidden, cells, squashed)), strict=True)
        for gate, i, f, half, o, new, cell, s in steps:
            if before is not None:
                gate.baddbmm_(before, weight)
            half.mul_(-2)
            gate.sigmoid_()
            torch.addcmul(i, i, half, value=-2, out=cell)
            if carry is not None:
                cell.addcmul_(f, carry)
            torch.mul(cell, -2, out=s).sigmoid_()
            torch.addcmul(o, o, s, value=-2, out=new)
            before, carry = new, cell
        return Tape(hidden, gates, (cells, squashed))

    def advance(self, gates: Tensor, weight: Tensor, memory: Memory) -> Memory:
        """See `Cell`."""
        hidden, cell = memory
        i, f, g, o = torch.baddbmm(gates, hidden, weight).chunk(4, -1)
        cell = torch.addcmul(f.sigmoid() * cell, i.sigmoid(), g.tanh())
        return o.sigmoid() * cell.tanh(), cell

    def backward(self, tape: Tape, grad: Tensor, weight: Tensor, grad_weight: Tensor) -> Tensor:
        """See `Cell`. Backpropagation through time; only dh and dc are carried from step to step.

        First the slopes of all gates at all steps, as if dh = dc = 1; the loop then scales them.
        """
        i, f, half, o = tape.gates.chunk(4, -1)
        cells, s = tape.saved
        slope = torch.addcmul(tape.gates, tape.gates, tape.gates, value=-1)
        slope_i, slope_f, slope_g, slope_o = slope.chunk(4, -1)
        slope_i.addcmul_(slope_i, half, value=-2)
        slope_f[:, 1:].mul_(cells[:, :-1])
        slope_f[:, 0].zero_()
        slope_g.mul_(i).mul_(4)
        slope_o.addcmul_(slope_o, s, value=-2)
        into_cell = torch.sub(o, tape.hidden).addcmul_(tape.hidden, s, value=2)

        from_cell = slope.view(*slope.shape[:3], 4, -1)[..., :3, :]
        forgets = f.unbind(1)
        grad_cell, later = None, None
        steps = zip(
            *(x.unbind(1) for x in (grad, slope, from_cell, slope_o, into_cell)), strict=True
        )
        for t, (grad_hidden, slopes, of_cell, of_output, to_cell) in reversed(
            list(enumerate(steps))
        ):
            if later is None or grad_cell is None:
                grad_cell = grad_hidden * to_cell
            else:
                grad_hidden.baddbmm_(later, weight.mT)
                grad_cell.mul_(forgets[t + 1]).addcmul_(grad_hidden, to_cell)
            of_cell.mul_(grad_cell.unsqueeze(-2))
            of_output.mul_(grad_hidden)
            later = slopes
        _grad_recurrent(tape.hidden, slope, grad_weight)
        return slope


class GRU:
    """Cho et al. (2014) as in `torch.nn`: n = tanh(x + r (W h)), h' = (1 - z) n + z h.

    Without `torch.nn`'s second bias inside the reset product (its `bias_hh` is zero here).
    """

    num_gates = 3
    num_memories = 1

    @staticmethod
    def _activate(gates: Tensor, recurrent: Tensor | None, hidden: Tensor | None) -> Tensor:
        """Finish a step from pre-activations; return h' and leave (r, z, n) in `gates`."""
        size = gates.shape[-1] // 3
        rates, n = gates[..., : 2 * size], gates[..., 2 * size :]
        if recurrent is not None:
            rates.add_(recurrent[..., : 2 * size])
        r, z = rates.sigmoid_().chunk(2, -1)
        if recurrent is not None:
            n.addcmul_(r, recurrent[..., 2 * size :])
        _tanh(n, n)
        new = torch.addcmul(n, z, n, value=-1)
        return new if hidden is None else new.addcmul_(z, hidden)

    def unroll(self, gates: Tensor, weight: Tensor) -> Tape:
        """See `Cell`; `saved` is the recurrent part of n, before the reset gate."""
        members, steps, batch, width = gates.shape
        size = width // 3
        hidden = gates.new_empty(members, steps, batch, size)
        saved = gates.new_zeros(members, steps, batch, size)
        hidden[:, 0] = self._activate(gates[:, 0], None, None)
        for t in range(1, steps):
            recurrent = torch.bmm(hidden[:, t - 1], weight)
            saved[:, t] = recurrent[..., 2 * size :]
            hidden[:, t] = self._activate(gates[:, t], recurrent, hidden[:, t - 1])
        return Tape(hidden, gates, (saved,))

    def advance(self, gates: Tensor, weight: Tensor, memory: Memory) -> Memory:
        """See `Cell`."""
        (hidden,) = memory
        return (self._activate(gates, torch.bmm(hidden, weight), hidden),)

    def backward(self, tape: Tape, grad: Tensor, weight: Tensor, grad_weight: Tensor) -> Tensor:
        """See `Cell`."""
        steps, size = grad.shape[1], grad.shape[-1]
        r, z, n = tape.gates.chunk(3, -1)
        before = torch.zeros_like(tape.hidden)
        before[:, 1:] = tape.hidden[:, :-1]
        into_n = (1 - z) * (1 - n * n)
        into_z = (before - n) * z * (1 - z)
        into_r = tape.saved[0] * r * (1 - r)

        grad_gates = torch.empty_like(tape.gates)
        grad_recurrent = torch.empty_like(tape.gates)
        back = weight.mT
        grad_hidden = grad[:, steps - 1]
        for t in reversed(range(steps)):
            if t < steps - 1:
                carried = (grad_hidden * z[:, t + 1]).baddbmm_(grad_recurrent[:, t + 1], back)
                grad_hidden = carried.add_(grad[:, t])
            grad_n = grad_hidden * into_n[:, t]
            torch.mul(grad_n, into_r[:, t], out=grad_gates[:, t, :, :size])
            torch.mul(grad_hidden, into_z[:, t], out=grad_gates[:, t, :, size : 2 * size])
            grad_gates[:, t, :, 2 * size :] = grad_n
            grad_recurrent[:, t] = grad_gates[:, t]
            grad_recurrent[:, t, :, 2 * size :].mul_(r[:, t])
        _grad_recurrent(tape.hidden, grad_recurrent, grad_weight)
        return grad_gates


def _grad_recurrent(hidden: Tensor, grad: Tensor, grad_weight: Tensor) -> None:
    """Store the recurrent weights' gradient: one product over all steps but the first."""
    if hidden.shape[1] > 1:
        before, after = hidden[:, :-1].flatten(1, 2), grad[:, 1:].flatten(1, 2)
        torch.bmm(before.mT, after, out=grad_weight)
    else:
        grad_weight.zero_()


CELLS: dict[str, Cell] = {"lstm": LSTM(), "gru": GRU()}
