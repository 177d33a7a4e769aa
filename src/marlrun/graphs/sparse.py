"""Sparse rounds: consensus weights from lists of links, without any matrix of N x N entries."""

import warnings
from functools import cache

import numpy as np
import torch
from torch import Tensor

from marlrun.graphs.links import Links
from marlrun.graphs.network import SparseMixing
from marlrun.graphs.weights import LOCAL, summed


class Pattern:
    """The positions of the entries of C, on links and the diagonal; each replica is a block.

    The entries may change from round to round.
    """

    def __init__(self, links: Links, weights: str, device: torch.device):
        """Make the pattern of links; `weights` is one of the LOCAL rules."""
        self._rule, self._by_row = LOCAL[weights], summed(weights) == -1
        self._shape = (links.num_replicas, links.num_agents)
        agents = np.arange(links.num_replicas * links.num_agents)
        diagonal = agents * links.num_agents + agents % links.num_agents
        order = np.argsort(np.concatenate((links.places, diagonal)), kind="stable")
        slots = np.empty_like(order)
        slots[order] = np.arange(len(order))
        columns = np.concatenate((links.columns, agents))[order]
        sizes = np.bincount(links.rows, minlength=len(agents)) + 1

        def tensor(values: np.ndarray, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.from_numpy(values).to(device, dtype)

        starts = np.concatenate(([0], sizes.cumsum()))
        # MKL would convert indices of any other type at every product.
        self._starts, self._columns = tensor(starts, torch.int32), tensor(columns, torch.int32)
        self._hearer, self._heard = tensor(links.rows), tensor(links.columns)
        self._replica = tensor(links.replica)
        self._link_slots = tensor(slots[: -len(agents)])
        self._diagonal_slots = tensor(slots[-len(agents) :])

    def mixing(self, holds: Tensor) -> SparseMixing:
        """Return the round of those links for which `holds` [E] float32 is 1 and not 0."""
        num_agents = len(self._diagonal_slots)
        ends = self._hearer if self._by_row else self._heard
        degree = holds.new_zeros(num_agents).index_add_(0, ends, holds)
        largest = degree.view(self._shape).amax(-1)
        weight = holds * self._rule(
            degree[self._hearer], degree[self._heard], largest[self._replica]
        )
        diagonal = holds.new_ones(num_agents).index_add_(0, ends, weight, alpha=-1)
        values = holds.new_empty(len(self._columns))
        values[self._link_slots], values[self._diagonal_slots] = weight, diagonal
        return SparseMixing(_csr(self._starts, self._columns, values), self._shape[1])


def _csr(starts: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    _silence_warning()
    size = (len(starts) - 1,) * 2
    return torch.sparse_csr_tensor(starts, columns, values, size, check_invariants=False)


@cache
def _silence_warning() -> None:
    """Make PyTorch give its only warning about CSR tensors, which are in beta, and drop it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))
