"""Cells, moves and chances of the grid games.

Cell y * size + x; x grows to the east, y to the north. Headings are north, east, south, west.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

HEADINGS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""(dx, dy) of actions 0 to 3; action 4 is to stay."""

STAY = (0, 0)


def positions(size: int, device: torch.device) -> Tensor:
    """Return (x, y) of every cell: int64 [size**2, 2]."""
    line = torch.arange(size, device=device)
    return torch.cartesian_prod(line, line).flip(-1)


def neighbours(size: int, moves: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return (x, y) after each move (dx, dy), perhaps outside of the grid: [moves, size**2, 2]."""
    return positions(size, device) + torch.tensor(moves, device=device).unsqueeze(1)


def wrapped(size: int, moves: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return the cell to which each move leads on a torus: int64 [moves, size**2]."""
    x, y = (neighbours(size, moves, device) % size).unbind(-1)
    return y * size + x


def walled(size: int, moves: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return the cell to which each move leads between walls: int64 [moves, size**2]."""
    x, y = neighbours(size, moves, device).clamp(0, size - 1).unbind(-1)
    return y * size + x


def outcomes(numbers: Tensor, chances: Sequence[float]) -> Tensor:
    """Turn uniform numbers into indices of `chances`, which sum to 1: int64 of the same shape."""
    bounds = torch.tensor(chances[:-1], dtype=torch.float64).cumsum(0)
    return torch.bucketize(numbers.contiguous(), bounds.to(numbers), right=True)


def points(cells: Tensor, size: int) -> list[tuple[int, int]]:
    """Return the positions (x, y) of cells [K]."""
    return [(cell % size, cell // size) for cell in map(int, cells)]
