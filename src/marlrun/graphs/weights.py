"""Consensus weights: the matrix C of a round from the mask of its links, batched.

Xiao & Boyd, "Fast linear iterations for distributed averaging", 2004 (Metropolis, max-degree, best
constant); Olshevsky, "Linear time average consensus", 2014 (lazy Metropolis); Kempe, Dobra &
Gehrke, "Gossip-based computation of aggregate information", 2003 (push-sum).

A mask [.., N, N] float32 is 1 where agent i hears agent j, its diagonal 0.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

linalg: Any = torch.linalg
"""It has no types."""

Weights = Literal[
    "metropolis",
    "lazy_metropolis",
    "max_degree",
    "best_constant",
    "sinkhorn_laplacian",
    "uniform_row",
    "push_sum",
    "from_file",
]
Local = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(degree of the hearer, degree of the heard, largest degree) -> weight of a link."""

LOCAL: dict[str, Local] = {
    "metropolis": lambda hearer, heard, _: 1 / (1 + torch.maximum(hearer, heard)),
    "lazy_metropolis": lambda hearer, heard, _: 0.5 / torch.maximum(hearer, heard).clamp(min=1),
    "max_degree": lambda _, __, largest: 1 / (1 + largest),
    "uniform_row": lambda hearer, _, __: 1 / (1 + hearer),
    "push_sum": lambda _, heard, __: 1 / (1 + heard),
}
"""Rules that need only the degrees of a link; for push-sum a degree is a number of hearers."""

_HALVINGS = 30
"""Iterations of `sinkhorn_laplacian`."""


def summed(weights: str) -> int:
    """Return the dimension along which C sums to 1: columns for push-sum, else rows."""
    return -2 if weights == "push_sum" else -1


def consensus(mask: Tensor, weights: str) -> Tensor:
    """Return C [.., N, N] for a mask."""
    if weights == "sinkhorn_laplacian":
        return sinkhorn_laplacian(mask)
    if weights == "best_constant":
        return best_constant(mask)
    degree = mask.sum(summed(weights))
    largest = degree.amax(-1)[..., None, None]
    weights_of_links = LOCAL[weights](degree.unsqueeze(-1), degree.unsqueeze(-2), largest)
    return completed(mask * weights_of_links, summed(weights))


def completed(links: Tensor, dim: int = -1) -> Tensor:
    """Fill the diagonal of `links` [.., N, N], in place, so that sums along `dim` are 1."""
    links.diagonal(dim1=-2, dim2=-1).copy_(1 - links.sum(dim))
    return links


def best_constant(mask: Tensor) -> Tensor:
    """Return I - a L with the `a` that mixes fastest, 2 / (l_1 + l_{n-1}); may be negative.

    l_1 is the largest eigenvalue of the Laplacian, l_{n-1} the second smallest (Xiao & Boyd, 2004).
    """
    exact = mask.double()
    laplacian = torch.diag_embed(exact.sum(-1)) - exact
    values = linalg.eigvalsh(laplacian)
    extremes = values[..., -1] + values[..., min(1, values.shape[-1] - 1)]
    step = 2 / extremes.clamp(min=1e-9)
    return completed(exact * step[..., None, None]).to(mask.dtype)


def sinkhorn_laplacian(mask: Tensor) -> Tensor:
    """Return the absolute Laplacian |L| = D + A, scaled to be doubly stochastic.

    It is symmetric, so one diagonal X suffices: X |L| X. It is positive semidefinite, so the error
    of log X at least halves in an iteration of x <- sqrt(x / |L| x) near the solution. An agent
    that hears nobody has weight 1.
    """
    degree = mask.sum(-1)
    absolute = mask + torch.diag_embed(degree.clamp(min=1))
    scale = absolute.sum(-1).rsqrt()
    for _ in range(_HALVINGS):
        sums = linalg.vecdot(absolute, scale.unsqueeze(-2))
        scale = torch.sqrt(scale / sums)
    return completed(mask * scale.unsqueeze(-1) * scale.unsqueeze(-2))
