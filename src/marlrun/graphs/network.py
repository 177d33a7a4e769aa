"""Networks: the consensus matrices of all rounds of communication."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from marlrun.graphs.links import Links
from marlrun.ops.alignment import ALIGNED
from marlrun.types import Metrics, StateDict


class Mixing:
    """One round of communication, in all replicas."""

    is_sparse = False

    def __init__(self, matrix: Tensor):
        """Make a round of matrices C [R, N, N] float32."""
        self._matrix = matrix

    @property
    def matrix(self) -> Tensor:
        """[R, N, N] float32: row i has the weights that agent i gives to all agents."""
        return self._matrix

    def __call__(self, x: Tensor) -> Tensor:
        """Return sum_j C(i, j) x_j: [R, N, K] -> [R, N, K]."""
        size = x.shape[-1]
        # A matrix with a single column is summed in an order of its own.
        is_aligned = size > 1 and x.shape[1] * size % ALIGNED == 0
        if is_aligned:
            return torch.bmm(self._matrix, x)
        padded = torch.nn.functional.pad(x, (0, -size % ALIGNED))
        return torch.bmm(self._matrix, padded)[..., :size]


class SparseMixing(Mixing):
    """One round of communication among many agents, each of which hears few."""

    is_sparse = True

    def __init__(self, csr: Tensor, num_agents: int):
        """Make a round of a CSR matrix [R * N, R * N], with C of each replica as a block."""
        self.csr, self.num_agents = csr, num_agents
        self._entries = csr.col_indices(), csr.crow_indices()[:-1], csr.values()

    @property
    def matrix(self) -> Tensor:
        """There is no dense matrix, which would not fit into memory."""
        raise AssertionError("a sparse round has no dense matrix")

    def __call__(self, x: Tensor) -> Tensor:
        """Return sum_j C(i, j) x_j: [R, N, K] -> [R, N, K]."""
        columns, starts, values = self._entries
        rows = x.reshape(-1, x.shape[-1])
        # The same sums as `csr @ rows`; on a CPU up to three times as fast (docs/results/speed.md).
        return torch.embedding_bag(rows, columns, starts, mode=0, per_sample_weights=values)[
            0
        ].view(x.shape)


class Network:
    """The rounds of communication among agents; those of a replica depend on its seed alone."""

    needs_adjacency: ClassVar[bool] = False
    """Whether `draw` must be told who is near whom (`Step.adjacency`)."""

    def __init__(
        self,
        num_agents: int,
        num_replicas: int,
        rounds: Callable[[int], Mixing],
        *,
        period: int | None,
        is_push_sum: bool = False,
        is_directed: bool = False,
        is_shuffled: bool = False,
        connected: bool = True,
        problem: str | None = None,
        warning: str | None = None,
        gossip: Links | None = None,
    ):
        self.num_agents, self.num_replicas = num_agents, num_replicas
        self.period = period
        """After so many rounds the matrices are the same again; None if they are random."""
        self.is_push_sum, self.is_directed = is_push_sum, is_directed
        self.is_shuffled = is_shuffled
        """Whether agents are exchanged at random, again and again."""
        self.connected = connected
        """Whether all mean graphs are connected, so that each agent reaches all others in time."""
        self.problem, self.warning = problem, warning
        """Why agents cannot agree, and why they agree on something else than the mean, or None."""
        self.gossip = gossip
        """The links of which a round of gossip takes one; None if the network does not gossip."""
        self._rounds = rounds
        self.counter = 0
        """The number of rounds so far."""

    @property
    def is_static(self) -> bool:
        """Whether all rounds are the same."""
        return self.period == 1

    def draw(self, adjacency: Tensor | None = None) -> Mixing:
        """Return the matrices of the next round; static graphs return the same object.

        `adjacency` [R, N, N] bool says who is near whom now. Only graph=positions makes use of it.
        """
        mixing = self._rounds(self.counter)
        self.counter += 1
        return mixing

    def metrics(self) -> Metrics:
        """Return what there is to log of the rounds since the last call: tensors [R]."""
        return {}

    def state_dict(self) -> StateDict:
        """Return the number of rounds so far, which decides all later rounds."""
        return {"counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self.counter = state["counter"]
