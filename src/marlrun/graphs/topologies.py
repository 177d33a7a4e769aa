"""Topologies: what `graph=NAME` builds, from networkx where it draws nothing in the loop.

Every function takes the number of agents, a seed a replica, the device, its own parameters and the
rules that all graphs share (conf/graph/none.yaml), and returns a Network; ValueError, in one line,
if the parameters do not fit the agents. Random graphs are drawn for each replica from its own seed.
"""

from collections.abc import Callable, Sequence
from math import isqrt, pi
from typing import Any, Unpack

import networkx
import torch

from marlrun.graphs.assembly import network, redrawn_network
from marlrun.graphs.assumptions import Rules, afford_links, check_redrawn
from marlrun.graphs.draws import random_pairs, random_positions, stream_of
from marlrun.graphs.files import pairs_in, read_table
from marlrun.graphs.links import Links, join, pairs_of
from marlrun.graphs.network import Network
from marlrun.streams import derive
from marlrun.types import Seeds

Graph = Any
nx: Any = networkx
"""It has no types."""


def none(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Nobody hears anybody, C = I: the deliberate case without communication."""
    silent = _fixed(nx.empty_graph(num_agents), num_agents, seeds, device, rules)
    silent.problem = None
    return silent


def complete(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Everyone hears everyone."""
    afford_links(num_agents * (num_agents - 1) / 2, "graph=complete")
    return _fixed(nx.complete_graph(num_agents), num_agents, seeds, device, rules)


def ring(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Everyone hears the two beside."""
    return _fixed(nx.cycle_graph(num_agents), num_agents, seeds, device, rules)


def path(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Everyone hears the one before and the one behind."""
    return _fixed(nx.path_graph(num_agents), num_agents, seeds, device, rules)


def star(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Everyone hears the first, who hears everyone."""
    return _fixed(nx.star_graph(num_agents - 1), num_agents, seeds, device, rules)


def grid(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    shape: Sequence[int] | None,
    **rules: Unpack[Rules],
) -> Network:
    """Rows and columns of agents who hear the four around."""
    return _fixed(_lattice(num_agents, shape, False), num_agents, seeds, device, rules)


def torus(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    shape: Sequence[int] | None,
    **rules: Unpack[Rules],
) -> Network:
    """Return a grid whose edges meet."""
    return _fixed(_lattice(num_agents, shape, True), num_agents, seeds, device, rules)


def hypercube(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Agents hear those whose number differs in one bit."""
    return _fixed(_hypercube(num_agents), num_agents, seeds, device, rules)


def directed_ring(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Everyone hears the one before, for push-sum."""
    graph = nx.cycle_graph(num_agents, create_using=nx.DiGraph)
    return _fixed(graph, num_agents, seeds, device, rules)


def k_regular(
    num_agents: int, seeds: Seeds, device: torch.device, *, k: int, **rules: Unpack[Rules]
) -> Network:
    """Everyone hears k others, drawn at random."""
    if k >= num_agents or k * num_agents % 2:
        expected = f"expected fewer than the {num_agents} agents, k times agents even"
        raise ValueError(f"graph.k={k}: {expected}")
    afford_links(k * num_agents / 2, f"graph.k={k}")

    def draw(seed: int) -> Graph:
        if k <= 3 * num_agents / 4:
            return nx.random_regular_graph(k, num_agents, seed)
        # networkx would search for minutes; the links that are missing are soon found.
        return nx.complement(nx.random_regular_graph(num_agents - 1 - k, num_agents, seed))

    return _random(draw, num_agents, seeds, device, rules)


def watts_strogatz(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    k: int,
    probability: float,
    **rules: Unpack[Rules],
) -> Network:
    """Everyone hears the k nearest on a ring, some links lead elsewhere; always connected."""
    if k >= num_agents or k % 2:
        raise ValueError(f"graph.k={k}: expected an even number below the {num_agents} agents")
    afford_links(k * num_agents / 2, f"graph.k={k}")
    return _random(
        lambda seed: nx.connected_watts_strogatz_graph(num_agents, k, probability, 1000, seed),
        num_agents,
        seeds,
        device,
        rules,
    )


def barabasi_albert(
    num_agents: int, seeds: Seeds, device: torch.device, *, m: int, **rules: Unpack[Rules]
) -> Network:
    """Agents come one by one and choose m others, popular ones more often."""
    if m >= num_agents:
        raise ValueError(f"graph.m={m}: expected fewer than the {num_agents} agents")
    afford_links(m * (num_agents - m), f"graph.m={m}")
    return _random(
        lambda seed: nx.barabasi_albert_graph(num_agents, m, seed), num_agents, seeds, device, rules
    )


def erdos_renyi(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    ratio: float | None,
    probability: float | None,
    directed: bool,
    **rules: Unpack[Rules],
) -> Network:
    """So many links, `ratio` of all pairs, or each with `probability`; by default ratio 4 / N.

    Redrawn, it is another such graph, not the same one with agents exchanged.
    """
    if ratio is not None and probability is not None:
        raise ValueError(f"graph.probability={probability}: expected null, graph.ratio={ratio}")
    pairs = num_agents * (num_agents - 1) // (1 if directed else 2)
    chance = probability if probability is not None else ratio or min(1.0, 4 / num_agents)
    links = None if probability is not None else round(chance * pairs)
    if links == 0 and num_agents > 1:
        raise ValueError(f"graph.ratio={ratio}: expected at least one of {pairs} pairs of agents")

    if rules["dynamics"] == "redrawn":
        check_redrawn(num_agents, directed, seeds, rules)
        stream = stream_of(seeds, device)
        masks = random_pairs(stream, num_agents, directed, links, chance)
        return redrawn_network(masks, num_agents, directed, seeds, rules)

    def draw(seed: int) -> Graph:
        if links is None:
            return nx.fast_gnp_random_graph(num_agents, chance, seed, directed)
        return nx.gnm_random_graph(num_agents, links, seed, directed)

    afford_links(chance * pairs, "graph=erdos_renyi")
    return _random(draw, num_agents, seeds, device, rules, directed)


def geometric(
    num_agents: int, seeds: Seeds, device: torch.device, *, radius: float, **rules: Unpack[Rules]
) -> Network:
    """Agents thrown into the unit square hear whom is nearer than `radius`.

    Redrawn, they are thrown anew.
    """
    if rules["dynamics"] == "redrawn":
        check_redrawn(num_agents, False, seeds, rules)
        masks = random_positions(stream_of(seeds, device), num_agents, radius)
        return redrawn_network(masks, num_agents, False, seeds, rules)
    afford_links(min(1.0, pi * radius**2) * num_agents**2 / 2, f"graph.radius={radius}")
    return _random(
        lambda seed: nx.random_geometric_graph(num_agents, radius, seed=seed),
        num_agents,
        seeds,
        device,
        rules,
    )


def from_file(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """A file's graph: a list of links, or a matrix that is not zero where there is a link."""
    if rules["file"] is None:
        raise ValueError("graph.file=null: expected a file, graph=from_file")
    table = read_table(rules["file"])
    pairs, is_directed = pairs_in(table, num_agents)
    links = join([pairs] * len(seeds), num_agents, is_directed)
    return network(links, seeds, device, rules, _others(num_agents, seeds, rules), table)


def _fixed(
    graph: Graph, num_agents: int, seeds: Seeds, device: torch.device, rules: Rules
) -> Network:
    """Return the network of one graph for all replicas."""
    _refuse_file(rules)
    links = _links(graph, num_agents, len(seeds))
    return network(links, seeds, device, rules, _others(num_agents, seeds, rules))


def _random(
    draw: Callable[[int], Graph],
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    rules: Rules,
    is_directed: bool = False,
) -> Network:
    """Return the network of a graph for each replica, drawn from its seed."""
    _refuse_file(rules)
    pairs = [pairs_of(draw(derive(seed, "graph")).edges) for seed in seeds]
    links = join(pairs, num_agents, is_directed)
    return network(links, seeds, device, rules, _others(num_agents, seeds, rules))


SWITCHED: dict[str, Callable[[int], Graph]] = {
    "complete": nx.complete_graph,
    "ring": nx.cycle_graph,
    "path": nx.path_graph,
    "star": lambda num_agents: nx.star_graph(num_agents - 1),
    "grid": lambda num_agents: _lattice(num_agents, None, False),
    "torus": lambda num_agents: _lattice(num_agents, None, True),
    "hypercube": lambda num_agents: _hypercube(num_agents),
    "none": nx.empty_graph,
}
"""What `graph.among` may name: graphs that have no parameters."""


def _others(num_agents: int, seeds: Seeds, rules: Rules) -> list[Links]:
    """Return the graphs that are switched to, after the chosen one.

    ValueError, in one line, if one does not fit the agents or all are too large.
    """
    names = rules["among"] or []
    key = f"graph.among={list(names)}"
    # All but the complete graph have a few links an agent.
    links = names.count("complete") * (num_agents - 1) / 2 + 2 * len(names)
    afford_links(links * num_agents, key)
    try:
        graphs = [SWITCHED[name](num_agents) for name in names]
    except ValueError as error:
        raise ValueError(f"{key}: {str(error).partition(': ')[2]}") from error
    return [_links(graph, num_agents, len(seeds)) for graph in graphs]


def _links(graph: Graph, num_agents: int, num_replicas: int) -> Links:
    """Return a graph's links, its nodes numbered in their order."""
    assert len(graph) == num_agents
    numbered = nx.convert_node_labels_to_integers(graph)
    return join([pairs_of(numbered.edges)] * num_replicas, num_agents, graph.is_directed())


def _lattice(num_agents: int, shape: Sequence[int] | None, periodic: bool) -> Graph:
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


def _hypercube(num_agents: int) -> Graph:
    if num_agents & (num_agents - 1):
        raise ValueError(f"graph=hypercube: expected a power of 2 agents, there are {num_agents}")
    return nx.empty_graph(1) if num_agents == 1 else nx.hypercube_graph(num_agents.bit_length() - 1)


def _refuse_file(rules: Rules) -> None:
    if rules["file"] is not None and rules["weights"] != "from_file":
        raise ValueError(
            f"graph.file={rules['file'].path}: expected null, or graph=from_file, "
            "or graph.weights=from_file"
        )
