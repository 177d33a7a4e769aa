"""Stacked perceptrons for autograd whose first derivative is written out; they have no second one.

The parameters are those of `nets/module.py`. Written out, activations and their gradients are
computed in place, and the gradients of all matrices go straight into one tensor.

Shapes: M members, B batch, I inputs, J outputs, P parameters of a member.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from marlrun.nets.module import MLP, Activation
from marlrun.nets.stacked import THIN, Shapes, views

_MANY = 256
"""With so many samples or more, members take turns on a CPU: what a layer needs stays in the cache."""
_PIECE = 1024
"""So many samples at once pass all layers, where no gradient is asked for; for the same reason."""
_APPLY: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "tanh": torch.tanh_}

Layers = list[tuple[Tensor, Tensor]]
"""Weight [M, I, J] and bias [M, 1, J] of every layer."""


class Perceptron(MLP):
    """x [M, B, I] -> y [M, B, J], as `nets.module.MLP`; on large batches in about half of the time.

    Who needs gradients of gradients takes `MLP`: here they are constants. Dead units are dead from the
    beginning, so their gradients are zero and they stay dead.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return y [M, B, J]."""
        if x.shape[-1] == 1:
            # A lone member would multiply a lone column otherwise than members in company.
            x = torch.nn.functional.pad(x, (0, self._dead_inputs))
        arguments = x.contiguous(), self.rows, self._shapes, self.activation
        if not torch.is_grad_enabled():
            return _evaluated(*arguments)[..., : self._num_outputs]
        return cast(Tensor, _Differentiable.apply(*arguments, self._num_outputs))


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        rows: Tensor,
        shapes: Shapes,
        activation: Activation,
        num_outputs: int,
    ) -> Tensor:
        """Return y [M, B, J]."""
        tape = [x, *_room(_layers(rows, shapes), *x.shape[:2])]
        for members in _turns(x):
            _forward(_layers(rows[members], shapes), [part[members] for part in tape], activation)
        ctx.save_for_backward(rows, *tape[:-1])
        ctx.shapes, ctx.activation = shapes, activation
        return tape[-1][..., :num_outputs]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore  (the decorator hides the names of arguments)
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, Tensor, None, None, None]:
        """Return the gradients by x and by the rows."""
        rows, x, *hidden = ctx.saved_tensors
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        gradient, turns = torch.zeros_like(rows), _turns(x)
        *room, grad_y = _room(_layers(rows[turns[0]], ctx.shapes), len(rows[turns[0]]), x.shape[1])
        # What belongs to dead outputs stays zero.
        grad_y.zero_()
        for members in turns:
            layers, gradients = (_layers(part[members], ctx.shapes) for part in (rows, gradient))
            grad_y[..., : grads[0].shape[-1]] = grads[0][members]
            tape = [part[members] for part in (x, *hidden)]
            grad = _backward(layers, tape, [*room, grad_y], gradients, ctx.activation)
            if grad_x is not None:
                torch.bmm(grad, _live(layers, x)[0][0].mT, out=grad_x[members])
        return grad_x, gradient, None, None, None


def _forward(layers: Layers, tape: Sequence[Tensor], activation: Activation) -> None:
    """Compute what every layer puts out into `tape`, which begins with x."""
    for (weight, bias), (inputs, outputs) in zip(
        _live(layers, tape[0]), pairwise(tape), strict=True
    ):
        torch.baddbmm(bias, inputs, weight, out=outputs)
        if outputs is not tape[-1]:
            _APPLY[activation](outputs)


def _backward(
    layers: Layers,
    tape: Sequence[Tensor],
    grads: Sequence[Tensor],
    gradients: Layers,
    activation: Activation,
) -> Tensor:
    """Compute the gradients of all matrices; return that by what the first layer puts out.

    `tape` is what the layers take in, and `grads` is room for the gradients by what they put out;
    in the last of them that gradient is given.
    """
    gradients = _live(gradients, tape[0])
    for layer in reversed(range(len(layers))):
        inputs, grad, (grad_weight, grad_bias) = tape[layer], grads[layer], gradients[layer]
        if grad.shape[-1] > THIN:
            torch.bmm(inputs.mT, grad, out=grad_weight)
        else:
            grad_weight.copy_(torch.bmm(grad.mT, inputs).mT)
        torch.sum(grad, 1, keepdim=True, out=grad_bias)
        if layer > 0:
            torch.bmm(grad, layers[layer][0].mT, out=grads[layer - 1])
            _through(grads[layer - 1], inputs, activation)
    return grads[0]


def _through(grad: Tensor, outputs: Tensor, activation: Activation) -> None:
    """Turn the gradient by the outputs of an activation into that by its inputs, in place."""
    if activation == "tanh":
        torch.ops.aten.tanh_backward.grad_input(grad, outputs, grad_input=grad)
    else:
        torch.ops.aten.threshold_backward.grad_input(grad, outputs, 0.0, grad_input=grad)


def _evaluated(x: Tensor, rows: Tensor, shapes: Shapes, activation: Activation) -> Tensor:
    """Return y [M, B, J] with dead outputs, and keep no tape."""
    members, batch, _ = x.shape
    layers = _layers(rows, shapes)
    y = x.new_empty(members, batch, layers[-1][1].shape[-1])
    length = batch if x.is_cuda else min(batch, _PIECE)
    turns = _turns(x)
    room = _room(layers[:-1], len(x[turns[0]]), length)
    for turn in turns:
        layers = _layers(rows[turn], shapes)
        for start in range(0, batch, length):
            piece = slice(start, start + length)
            inputs, outputs = x[turn, piece], y[turn, piece]
            hidden = [part[:, : inputs.shape[1]] for part in room]
            _forward(layers, [inputs, *hidden, outputs], activation)
    return y


def _room(layers: Layers, members: int, batch: int) -> list[Tensor]:
    """Return room for what every layer puts out."""
    return [bias.new_empty(members, batch, bias.shape[-1]) for _, bias in layers]


def _layers(rows: Tensor, shapes: Shapes) -> Layers:
    matrices = list(views(rows, shapes).values())
    return list(zip(matrices[::2], matrices[1::2], strict=True))


def _live(layers: Layers, x: Tensor) -> Layers:
    """Leave out the weights of dead inputs, which x does not have."""
    (weight, bias), *others = layers
    return [(weight[:, : x.shape[-1]], bias), *others]


def _turns(x: Tensor) -> list[slice]:
    """Return which members are computed together."""
    length = len(x) if x.is_cuda or x.shape[1] < _MANY else 1
    return [slice(start, start + length) for start in range(0, len(x), length)]
