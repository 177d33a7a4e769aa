"""Links between agents, in all replicas at once: which agent hears which."""

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

    Links are sorted by replica, hearer and heard. An undirected link stands here twice, once for
    each direction. No agent hears itself.
    """

    num_replicas: int
    num_agents: int
    is_directed: bool
    places: Ints
    """[E]: the indices of the links in a flat tensor [R, N, N], ascending."""

    @cached_property
    def rows(self) -> Ints:
        """[E]: the agent that hears, numbered through all replicas."""
        return self.places // self.num_agents

    @cached_property
    def replica(self) -> Ints:
        """[E]: the replica to which the link belongs."""
        return self.rows // self.num_agents

    @cached_property
    def hearer(self) -> Ints:
        """[E]: the agent that hears, within its replica."""
        return self.rows % self.num_agents

    @cached_property
    def heard(self) -> Ints:
        """[E]: the agent that is heard, within its replica."""
        return self.places % self.num_agents

    @cached_property
    def columns(self) -> Ints:
        """[E]: the agent that is heard, numbered through all replicas."""
        return self.replica * self.num_agents + self.heard

    @property
    def is_regular(self) -> bool:
        """Whether all agents of a replica hear the same number of agents."""
        degrees = np.bincount(self.rows, minlength=self.num_replicas * self.num_agents)
        degrees = degrees.reshape(self.num_replicas, self.num_agents)
        return bool((degrees == degrees[:, :1]).all())

    def disconnected(self) -> Ints:
        """Return the replicas in which some agent cannot be reached from some other agent."""
        size = self.num_replicas * self.num_agents
        entries = np.ones(len(self.places), dtype=np.int8)
        graph = sparse.csr_array((entries, (self.rows, self.columns)), shape=(size, size))
        _, labels = csgraph.connected_components(graph, self.is_directed, connection="strong")
        components: Ints = labels.reshape(self.num_replicas, self.num_agents)
        return np.flatnonzero((components != components[:, :1]).any(1))


def join(pairs: Sequence[Ints], num_agents: int, is_directed: bool) -> Links:
    """Return the links of pairs [E, 2] of each replica, which lead from the first to the second."""
    codes: list[Ints] = []
    for replica, pair in enumerate(pairs):
        links = pair if is_directed else np.concatenate((pair, pair[:, ::-1]))
        heard, hearer = links[links[:, 0] != links[:, 1]].T
        codes.append(np.unique((replica * num_agents + hearer) * num_agents + heard))
    return Links(len(pairs), num_agents, is_directed, np.concatenate(codes))


def union(parts: Sequence[Links]) -> Links:
    """Return all links of several graphs of the same agents."""
    any_part = parts[0]
    places = np.unique(np.concatenate([part.places for part in parts]))
    is_directed = any(part.is_directed for part in parts)
    return Links(any_part.num_replicas, any_part.num_agents, is_directed, places)


def period(hearer: Ints, heard: Ints, num_agents: int) -> int:
    """Return the greatest common divisor of the lengths of all cycles.

    The links [E] may lead from agents to themselves, and connect the agents strongly.
    """
    entries = np.ones(len(hearer), dtype=np.int8)
    graph = sparse.csr_array((entries, (hearer, heard)), shape=(num_agents, num_agents))
    distance = csgraph.shortest_path(graph, unweighted=True, indices=0).astype(np.int64)
    return int(np.gcd.reduce(distance[hearer] + 1 - distance[heard]))


def pairs_of(edges: Iterable[tuple[int, int]]) -> Ints:
    """Return edges as an array of pairs [E, 2]."""
    flat = np.fromiter((agent for edge in edges for agent in edge), dtype=np.int64)
    return flat.reshape(-1, 2)
