"""Mutual information of two discrete variables, in bits, from how often they occur together.

Shapes: counts [.., K, L], where `counts[.., k, l]` samples had x = k and y = l; results [..].
"""

from math import log

import torch
from torch import Tensor


def pair_counts(x: Tensor, y: Tensor, shape: tuple[int, int], weight: Tensor) -> Tensor:
    """Return float64 counts [R, K, L] of pairs x, y [R, B] int64, each counted `weight` [R, B] times.

    `shape` is (K, L): x lies in 0 .. K - 1, y in 0 .. L - 1.
    """
    cells = x * shape[1] + y
    counts = torch.zeros(len(x), shape[0] * shape[1], dtype=torch.float64, device=x.device)
    return counts.scatter_add_(1, cells, weight.double()).view(-1, *shape)


def mutual_information(counts: Tensor) -> Tensor:
    """Return I(X; Y) = sum p(x, y) log2 p(x, y) / (p(x) p(y)) of the shares (Shannon 1948).

    From few samples this is too high, also where X and Y are independent: the same of shuffled pairs
    says how much.
    """
    p = counts / counts.sum((-2, -1), keepdim=True)
    product = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
    return (torch.xlogy(p, p) - torch.xlogy(p, product)).sum((-2, -1)) / log(2)
