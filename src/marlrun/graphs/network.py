"""A network: the consensus matrices of one round of communication after another."""

from collections.abc import Callable

import torch
from torch import Tensor

from marlrun.graphs.links import Links
from marlrun.types import StateDict

_ALIGNED = 4
"""Floats of which a replica's part must be a multiple.

Where it starts within 16 bytes decides the order in which a CPU sums, and so does a matrix with a
single column: else a replica's last bits would depend on its company.
"""


class Mixing:
    """One round of communication, in all replicas."""

    is_sparse = False

    def __init__(self, matrix: Tensor):
        """Take the matrices C [R, N, N] float32."""
        self._matrix = matrix

    @property
    def matrix(self) -> Tensor:
        """[R, N, N] float32: row i is what agent i makes of what it hears."""
        return self._matrix

    def __call__(self, x: Tensor) -> Tensor:
        """Return sum_j C(i, j) x_j: [R, N, K] -> [R, N, K]."""
        size = x.shape[-1]
        is_aligned = size > 1 and x.shape[1] * size % _ALIGNED == 0
        if is_aligned:
            return torch.bmm(self._matrix, x)
        padded = torch.nn.functional.pad(x, (0, -size % _ALIGNED))
        return torch.bmm(self._matrix, padded)[..., :size]


class SparseMixing(Mixing):
    """One round of many agents who hear few."""

    is_sparse = True

    def __init__(self, csr: Tensor, num_agents: int):
        """Take a CSR matrix [R * N, R * N] with the replicas' C as blocks on its diagonal."""
        self.csr, self.num_agents = csr, num_agents
        self._entries = csr.col_indices(), csr.crow_indices()[:-1], csr.values()

    @property
    def matrix(self) -> Tensor:
        """Not to be had: it would not fit into memory."""
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
    """Who hears whom, round after round; what replica r draws depends on its seed alone."""

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
        """Rounds after which the matrices repeat themselves; None where they are random."""
        self.is_push_sum, self.is_directed = is_push_sum, is_directed
        self.is_shuffled = is_shuffled
        """Whether agents' places in the graph are drawn anew again and again."""
        self.connected = connected
        """Whether the mean graphs are, so that everyone's word reaches everyone in time."""
        self.problem, self.warning = problem, warning
        """What breaks the assumptions of consensus, or bends them; None where nothing does."""
        self.gossip = gossip
        """Links of which a round of gossip draws one; None where it is not gossip."""
        self._rounds = rounds
        self.counter = 0
        """Rounds so far."""

    @property
    def is_static(self) -> bool:
        """Whether all rounds are the same."""
        return self.period == 1

    def draw(self) -> Mixing:
        """Return the next round's matrices; static graphs return the same object."""
        mixing = self._rounds(self.counter)
        self.counter += 1
        return mixing

    def state_dict(self) -> StateDict:
        """Return the number of rounds so far, which decides all to come."""
        return {"counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self.counter = state["counter"]
