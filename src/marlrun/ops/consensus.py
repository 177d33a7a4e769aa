"""What agents make of the numbers that their neighbours send.

Shapes: R replicas, N agents, K numbers an agent. `matrix` [R, N, N] is a consensus matrix C: row i
is what agent i hears.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def trimmed(matrix: Tensor, x: Tensor, tolerate: int) -> Tensor:
    """Return sum_j C(i, j) x_j [R, N, K] without each agent's extreme neighbours.

    In every coordinate the `tolerate` largest of the values above the agent's own and the
    `tolerate` smallest below it are dropped; the agent's own value takes their weight
    (Figura et al. 2021, arXiv 2111.06776; LeBlanc et al. 2013, W-MSR).
    """
    x_i, x_j, low, high = _heard(matrix, x, tolerate)
    inside = (x_j >= low) & (x_j <= high)
    return _average(matrix, torch.where(inside, x_j, x_i))


def clipped(matrix: Tensor, x: Tensor, tolerate: int) -> Tensor:
    """Return what `trimmed` returns, but extreme values count as the most extreme that is left.

    Or as the agent's own, where none is left on that side. A NaN stays a NaN in all who hear it
    (`trimmed` drops it).
    """
    _, x_j, low, high = _heard(matrix, x, tolerate)
    return _average(matrix, x_j.maximum(low).minimum(high))


def nearest(matrix: Tensor, x: Tensor, tolerate: int) -> Tensor:
    """Return sum_j C(i, j) x_j [R, N, K] without each agent's `tolerate` furthest neighbours.

    Whole vectors count, by their Euclidean distance from the agent's own, which takes their weight;
    equals at the limit stay (nearest-neighbour averaging, Farhadkhani et al., ICML 2023). Where
    honest agents nearly agree it drops whoever does not, and no honest extreme on the other side, as
    `trimmed` does.
    """
    x_i, x_j = x.unsqueeze(2), x.unsqueeze(1)
    distance = (x_j - x_i).square().sum(-1)
    limit = distance.masked_fill(_silent(matrix), -torch.inf).topk(tolerate + 1).values[..., -1:]
    return _average(matrix, torch.where((distance <= limit).unsqueeze(-1), x_j, x_i))


Robust = Callable[[Tensor, Tensor, int], Tensor]
"""(matrix [R, N, N], what is sent [R, N, K], how many to mistrust) -> [R, N, K]."""
ROBUST: dict[str, Robust | None] = {
    "mean": None,
    "trim": trimmed,
    "clip": clipped,
    "nearest": nearest,
}
"""What takes the place of the weighted mean, by name; None = it stays."""


def disagreement(x: Tensor) -> Tensor:
    """Return sum_i |x^i - xbar|^2 / (N |xbar|^2): [R]; 0 where all are 0."""
    mean = x.mean(1, keepdim=True)
    spread = (x - mean).square_().sum((1, 2))
    size = mean.square().sum((1, 2)) * x.shape[1]
    return torch.where(spread > 0, spread / size, 0.0)


def _heard(matrix: Tensor, x: Tensor, tolerate: int) -> tuple[Tensor, ...]:
    """Return x_i [R, N, 1, K], what neighbours send, x_j [R, 1, N, K], and bounds of what is trusted.

    Between the bounds, lowest and highest [R, N, 1, K], lie agent i's own value and all its
    neighbours' but the `tolerate` largest of those above and the `tolerate` smallest of those below.
    """
    x_i, x_j = x.unsqueeze(2), x.unsqueeze(1)
    silent = _silent(matrix).unsqueeze(-1)
    rank = tolerate + 1
    high = x_j.masked_fill(silent, -torch.inf).topk(rank, 2).values[:, :, -1:]
    low = x_j.masked_fill(silent, torch.inf).topk(rank, 2, largest=False).values[:, :, -1:]
    return x_i, x_j, low.minimum(x_i), high.maximum(x_i)


def _silent(matrix: Tensor) -> Tensor:
    """Return [R, N, N]: where j is no neighbour of i."""
    return (matrix <= 0) | torch.eye(matrix.shape[1], dtype=torch.bool, device=matrix.device)


def _average(matrix: Tensor, values: Tensor) -> Tensor:
    return (matrix.unsqueeze(-1) * values).sum(2)
