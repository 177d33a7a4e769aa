"""Graphs of networkx that are not random, and the links of such graphs for all replicas."""

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any

import networkx

from marlrun.graphs.assumptions import afford_links
from marlrun.graphs.links import Links, join, pairs_of
from marlrun.types import Seeds

Graph = Any
nx: Any = networkx
"""networkx has no types."""

SWITCHED: dict[str, Callable[[int], Graph]] = {
    "complete": nx.complete_graph,
    "ring": nx.cycle_graph,
    "path": nx.path_graph,
    "star": lambda num_agents: nx.star_graph(num_agents - 1),
    "grid": lambda num_agents: lattice(num_agents, None, False),
    "torus": lambda num_agents: lattice(num_agents, None, True),
    "hypercube": lambda num_agents: hypercube_graph(num_agents),
    "none": nx.empty_graph,
}
"""The graphs that `graph.among` may name, which have no parameters."""


def switched_links(num_agents: int, seeds: Seeds, names: Sequence[str]) -> list[Links]:
    """Return the links of the graphs that `graph.among` names.

    ValueError, in one line, if a graph does not fit the agents or all are too large.
    """
    key = f"graph.among={list(names)}"
    # All graphs but the complete one have a few links per agent.
    links = names.count("complete") * (num_agents - 1) / 2 + 2 * len(names)
    afford_links(links * num_agents, key)
    try:
        graphs = [SWITCHED[name](num_agents) for name in names]
    except ValueError as error:
        raise ValueError(f"{key}: {str(error).partition(': ')[2]}") from error
    return [links_of(graph, num_agents, len(seeds)) for graph in graphs]


def links_of(graph: Graph, num_agents: int, num_replicas: int) -> Links:
    """Return the links of a graph whose nodes are the agents in their order, for all replicas."""
    assert len(graph) == num_agents
    numbered = nx.convert_node_labels_to_integers(graph)
    return join([pairs_of(numbered.edges)] * num_replicas, num_agents, graph.is_directed())


def lattice(num_agents: int, shape: Sequence[int] | None, periodic: bool) -> Graph:
    """Return a grid or, if `periodic`, a torus; without a shape the most square one is taken."""
    if shape is None:
        rows = next(rows for rows in range(isqrt(num_agents), 0, -1) if num_agents % rows == 0)
        shape = (rows, num_agents // rows)
        if rows == 1 and num_agents > 3:
            raise ValueError(
                f"graph.shape=null: {num_agents} agents are prime, expected another number"
            )
    rows, columns = shape
    if rows < 1 or rows * columns != num_agents:
        raise ValueError(
            f"graph.shape={list(shape)}: expected rows and columns for the {num_agents} agents"
        )
    return nx.grid_2d_graph(rows, columns, periodic)


def hypercube_graph(num_agents: int) -> Graph:
    """Return the hypercube of the agents; ValueError unless their number is a power of 2."""
    if num_agents & (num_agents - 1):
        raise ValueError(f"graph=hypercube: expected a power of 2 agents, there are {num_agents}")
    return nx.empty_graph(1) if num_agents == 1 else nx.hypercube_graph(num_agents.bit_length() - 1)
