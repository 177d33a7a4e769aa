"""Stacked perceptrons for autograd: all members' parameters are one `torch.nn.Parameter`.

Shapes: M members (replica and agent, agents fastest), B batch, I inputs, J outputs, P parameters of
a member.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from marlrun.nets.stacked import (
    THIN,
    Shapes,
    orthogonal_rows,
    perceptron_shapes,
    rounded,
    views,
    widened,
    xavier_rows,
)
from marlrun.streams import derive
from marlrun.types import Seeds

Activation = Literal["relu", "tanh"]
Initial = Literal["xavier", "orthogonal"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
}
_INITIAL: dict[Initial, Callable[..., Tensor]] = {
    "xavier": xavier_rows,
    "orthogonal": orthogonal_rows,
}


class Stacked(torch.nn.Module):
    """Matrices of all members, kept as the rows of one parameter (docs/decisions/7).

    A network derives from this class, names its matrices, and asks for them in `forward`. Rows have
    room for dead units; what stands there changes no output, and its gradient is zero.
    """

    def __init__(self, initial: Tensor, live: Shapes, shapes: Shapes):
        """Take rows [M, P] for matrices of shapes `live`, which are placed into those of `shapes`."""
        super().__init__()
        self.rows = torch.nn.Parameter(widened(initial, live, shapes))
        """[M, P with dead units]."""
        self._shapes = shapes
        self.num_rows = max(2, len(initial))
        """How many members `matrices` has: a lone one twice, since torch multiplies it otherwise."""
        is_live = widened(torch.ones_like(initial[:1]), live, shapes).bool()
        self._is_live: Tensor
        self.register_buffer("_is_live", is_live, persistent=False)

    def matrices(self) -> dict[str, Tensor]:
        """Return name -> [M, I, J], made anew, so that each belongs to the graph of this call."""
        rows = torch.where(self._is_live, self.rows, 0.0)
        return views(rows.expand(self.num_rows, -1), self._shapes)


class MLP(Stacked):
    """Linear layers with an activation between them: x [M, B, I] -> y [M, B, J].

    It is a `torch.nn.Module` with the one parameter `rows`, to be trained by any `torch.optim` and
    used any number of times in a graph. A loss is summed over members, never averaged: a mean would
    divide every member's gradient by the number of replicas.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        seeds: Seeds,
        num_agents: int,
        device: torch.device,
        *,
        name: str,
        activation: Activation = "relu",
        initial: Initial = "xavier",
        last_gain: float = 1.0,
    ):
        """Draw initial weights by `seeds` and `name`; biases are zero. `sizes` is [I, hidden.., J].

        Networks of one learner have different names, or they would start with the same numbers.
        Weights of the last layer are multiplied by `last_gain`, orthogonal ones of the others by
        sqrt(2). A network that all agents share has `num_agents` 1, and their observations side by
        side in B.
        """
        live = perceptron_shapes(sizes)
        inputs, *_, outputs = sizes
        # With few columns torch multiplies a large batch three times as slowly.
        widths = [rounded(size) for size in sizes[:-1]]
        shapes = perceptron_shapes([*widths, max(THIN, rounded(outputs))])
        own_seeds = [derive(seed, name) for seed in seeds]
        rows = _INITIAL[initial](live, own_seeds, num_agents, 0.0, device)
        *hidden, last = list(views(rows, live).values())[::2]
        if initial == "orthogonal":
            for weight in hidden:
                weight.mul_(math.sqrt(2))
        last.mul_(last_gain)
        super().__init__(rows, live, shapes)
        self.activation: Activation = activation
        self._dead_inputs, self._num_outputs = rounded(inputs) - inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return y [M, B, J]."""
        if self._dead_inputs:
            x = torch.nn.functional.pad(x, (0, self._dead_inputs))
        x = x.contiguous().expand(self.num_rows, -1, -1)
        matrices = list(self.matrices().values())
        *hidden, last = zip(matrices[::2], matrices[1::2], strict=True)
        for weight, bias in hidden:
            x = _ACTIVATIONS[self.activation](torch.baddbmm(bias, x, weight))
        weight, bias = last
        # `narrow` lays out its gradient anew, however it comes; `[:]` would pass it on as it is.
        return torch.baddbmm(bias, x, weight).narrow(0, 0, len(self.rows))[..., : self._num_outputs]
