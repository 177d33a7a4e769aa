"""Links: who hears whom, in all replicas at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse as untyped_sparse  # pyright: ignore[reportMissingTypeStubs]
from scipy.sparse import csgraph as untyped_csgraph  # pyright: ignore[reportMissingTypeStubs]

Ints = NDArray[np.int64]
sparse: Any = untyped_sparse
csgraph: Any = untyped_csgraph


@dataclass(frozen=True)
class Links:
    """Link e: in replica `replica[e]`, agent `hearer[e]` hears agent `heard[e]`.

    In order of replica, hearer, heard. What is not directed stands twice. No agent hears itself.
    """

    num_replicas: int
    num_agents: int
    is_directed: bool
    places: Ints
    """[E]: where each stands in a tensor [R, N, N], ascending."""

    @cached_property
    def rows(self) -> Ints:
        """[E]: who hears, all replicas' agents numbered through."""
        return self.places // self.num_agents

    @cached_property
    def replica(self) -> Ints:
        """[E]: whose graph it belongs to."""
        return self.rows // self.num_agents

    @cached_property
    def hearer(self) -> Ints:
        """[E]: who hears, within the replica."""
        return self.rows % self.num_agents

    @cached_property
    def heard(self) -> Ints:
        """[E]: who is heard, within the replica."""
        return self.places % self.num_agents

    @cached_property
    def columns(self) -> Ints:
        """[E]: who is heard, all replicas' agents numbered through."""
        return self.replica * self.num_agents + self.heard

    @property
    def is_regular(self) -> bool:
        """Whether all agents of a replica hear equally many."""
        degrees = np.bincount(self.rows, minlength=self.num_replicas * self.num_agents)
        degrees = degrees.reshape(self.num_replicas, self.num_agents)
        return bool((degrees == degrees[:, :1]).all())

    def disconnected(self) -> Ints:
        """Return the replicas where not everyone's word reaches everyone."""
        size = self.num_replicas * self.num_agents
        ones = np.ones(len(self.places), dtype=np.int8)
        graph = sparse.csr_array((ones, (self.rows, self.columns)), shape=(size, size))
        _, found = csgraph.connected_components(graph, self.is_directed, connection="strong")
        part: Ints = found.reshape(self.num_replicas, self.num_agents)
        return np.flatnonzero((part != part[:, :1]).any(1))


def join(pairs: Sequence[Ints], num_agents: int, is_directed: bool) -> Links:
    """Return the links of each replica's pairs [E, 2]: from the first agent to the second."""
    codes: list[Ints] = []
    for replica, pair in enumerate(pairs):
        both = pair if is_directed else np.concatenate((pair, pair[:, ::-1]))
        heard, hearer = both[both[:, 0] != both[:, 1]].T
        codes.append(np.unique((replica * num_agents + hearer) * num_agents + heard))
    return Links(len(pairs), num_agents, is_directed, np.concatenate(codes))


def union(parts: Sequence[Links]) -> Links:
    """Return all links of these graphs of the same agents."""
    first = parts[0]
    places = np.unique(np.concatenate([part.places for part in parts]))
    is_directed = any(part.is_directed for part in parts)
    return Links(first.num_replicas, first.num_agents, is_directed, places)


def period(hearer: Ints, heard: Ints, num_agents: int) -> int:
    """Return the greatest common divisor of the lengths of all cycles.

    The links [E] may lead from agents to themselves, and connect the agents strongly.
    """
    ones = np.ones(len(hearer), dtype=np.int8)
    graph = sparse.csr_array((ones, (hearer, heard)), shape=(num_agents, num_agents))
    distance = csgraph.shortest_path(graph, unweighted=True, indices=0).astype(np.int64)
    return int(np.gcd.reduce(distance[hearer] + 1 - distance[heard]))


def pairs_of(edges: Iterable[tuple[int, int]]) -> Ints:
    """Return pairs [E, 2]."""
    flat = np.fromiter((agent for edge in edges for agent in edge), dtype=np.int64)
    return flat.reshape(-1, 2)
