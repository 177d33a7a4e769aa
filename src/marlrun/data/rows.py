"""Tensors of one sample each, side by side in rows of floats, so that one gather draws all of them.

Shapes: R replicas, S samples, F numbers of a sample.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from math import prod

import torch
from torch import Tensor


class Rows:
    """Where each part of a sample lies in a row of floats, by its name.

    Whole numbers up to 2**24 are kept exactly.
    """

    def __init__(self, parts: Mapping[str, Tensor]):
        """Take parts [R, S, ..] for their shapes and types."""
        self._parts = {name: (part.shape[2:], part.dtype) for name, part in parts.items()}
        sizes = [prod(shape) for shape, _ in self._parts.values()]
        self._places = list(pairwise(accumulate(sizes, initial=0)))

    @property
    def size(self) -> int:
        """F, how many numbers a row has."""
        return self._places[-1][1]

    def pack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the parts as rows [R, S, F]; those of other names are left out."""
        return torch.cat([parts[name].flatten(2).float() for name in self._parts], 2)

    def unpack(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the parts that rows [R, S, F] hold."""
        parts: dict[str, Tensor] = {}
        for (name, (shape, kind)), place in zip(self._parts.items(), self._places, strict=True):
            parts[name] = rows[..., slice(*place)].unflatten(-1, shape).contiguous().to(kind)
        return parts


def drawn(rows: Tensor, chance: Tensor, size: int | None = None) -> Tensor:
    """Return the rows [R, B, F] that numbers [R, B] in [0, 1) choose, each row equally likely.

    `rows` [R, S, F], or [1, S, F] for all replicas, lie in order; with `size`, only the first so many
    are chosen from.
    """
    index = (chance * (rows.shape[1] if size is None else size)).long()
    index += torch.arange(len(rows), device=rows.device).unsqueeze(1) * rows.shape[1]
    # `gather` would take ten times as long.
    return rows.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, rows.shape[2])
