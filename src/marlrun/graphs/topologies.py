"""Topologies: the functions that `graph=NAME` calls.

Every function takes the number of agents, a seed for each replica, the device, its parameters and
the rules that all graphs share (conf/graph/none.yaml), and returns a Network. ValueError, in one
line, if the parameters do not fit the agents. A random graph depends on the seed of its replica.
"""

from collections.abc import Callable, Sequence
from math import pi
from typing import Any, Unpack

import networkx
import torch

from marlrun.graphs.assembly import network, redrawn_network
from marlrun.graphs.assumptions import Rules, afford_links, check_redrawn
from marlrun.graphs.files import pairs_in, read_table
from marlrun.graphs.links import join, pairs_of
from marlrun.graphs.network import Network
from marlrun.graphs.positions import PositionNetwork
from marlrun.graphs.sampling import random_pairs, random_positions, stream_of
from marlrun.graphs.shapes import Graph, hypercube_graph, lattice, links_of, switched_links
from marlrun.streams import derive
from marlrun.types import Seeds

nx: Any = networkx
"""It has no types."""


def none(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Return the network in which no agent hears any other, C = I."""
    silent = _fixed(nx.empty_graph(num_agents), num_agents, seeds, device, rules)
    silent.problem = None
    return silent


def complete(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Return the network in which every agent hears all others."""
    afford_links(num_agents * (num_agents - 1) / 2, "graph=complete")
    return _fixed(nx.complete_graph(num_agents), num_agents, seeds, device, rules)


def ring(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Return a ring, on which every agent hears its two neighbours."""
    return _fixed(nx.cycle_graph(num_agents), num_agents, seeds, device, rules)


def path(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Return a path, on which every agent hears the agents before and behind it."""
    return _fixed(nx.path_graph(num_agents), num_agents, seeds, device, rules)


def star(num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]) -> Network:
    """Return a star: the first agent and every other agent hear each other."""
    return _fixed(nx.star_graph(num_agents - 1), num_agents, seeds, device, rules)


def grid(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    shape: Sequence[int] | None,
    **rules: Unpack[Rules],
) -> Network:
    """Return a grid of rows and columns, on which agents hear the four around them."""
    return _fixed(lattice(num_agents, shape, False), num_agents, seeds, device, rules)


def torus(
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    *,
    shape: Sequence[int] | None,
    **rules: Unpack[Rules],
) -> Network:
    """Return a grid whose edges meet."""
    return _fixed(lattice(num_agents, shape, True), num_agents, seeds, device, rules)


def hypercube(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Return a hypercube: agents hear each other if their numbers differ in one bit."""
    return _fixed(hypercube_graph(num_agents), num_agents, seeds, device, rules)


def directed_ring(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Return a ring on which every agent hears only the agent before it, for push-sum."""
    graph = nx.cycle_graph(num_agents, create_using=nx.DiGraph)
    return _fixed(graph, num_agents, seeds, device, rules)


def k_regular(
    num_agents: int, seeds: Seeds, device: torch.device, *, k: int, **rules: Unpack[Rules]
) -> Network:
    """Return a random network in which every agent hears k others."""
    if k >= num_agents or k * num_agents % 2:
        expected = f"expected fewer than the {num_agents} agents, k times agents even"
        raise ValueError(f"graph.k={k}: {expected}")
    afford_links(k * num_agents / 2, f"graph.k={k}")

    def draw(seed: int) -> Graph:
        if k <= 3 * num_agents / 4:
            return nx.random_regular_graph(k, num_agents, seed)
        # networkx would search for minutes, but finds the few links that are absent at once.
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
    """Return a ring with k neighbours an agent, of which some links are moved; it is connected."""
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
    """Return a network to which agents come one by one and choose m others, by their degrees."""
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
    """Return a network of random links: `ratio` of all pairs, or each pair with `probability`.

    The default is the ratio 4 / N. With graph.dynamics=redrawn every round has another such graph.
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
    """Return a network of agents at random in the unit square, which hear those within `radius`.

    With graph.dynamics=redrawn they have other positions in every round.
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


def positions(
    num_agents: int, seeds: Seeds, device: torch.device, *, window: int, **rules: Unpack[Rules]
) -> Network:
    """Return the network of agents that are near each other in the game, `Step.adjacency`.

    It logs which share of its windows of so many rounds is connected.
    """
    _refuse_file(rules)
    return PositionNetwork(num_agents, seeds, device, window, rules)


def from_file(
    num_agents: int, seeds: Seeds, device: torch.device, **rules: Unpack[Rules]
) -> Network:
    """Return the network in a file: a list of links, or a matrix that is not 0 at links."""
    if rules["file"] is None:
        raise ValueError("graph.file=null: expected a file, graph=from_file")
    table = read_table(rules["file"])
    pairs, is_directed = pairs_in(table, num_agents)
    links = join([pairs] * len(seeds), num_agents, is_directed)
    return network(
        links, seeds, device, rules, switched_links(num_agents, seeds, rules["among"] or []), table
    )


def _fixed(
    graph: Graph, num_agents: int, seeds: Seeds, device: torch.device, rules: Rules
) -> Network:
    """Return the network of a graph that all replicas share."""
    _refuse_file(rules)
    links = links_of(graph, num_agents, len(seeds))
    return network(
        links, seeds, device, rules, switched_links(num_agents, seeds, rules["among"] or [])
    )


def _random(
    draw: Callable[[int], Graph],
    num_agents: int,
    seeds: Seeds,
    device: torch.device,
    rules: Rules,
    is_directed: bool = False,
) -> Network:
    """Return the network in which each replica has a random graph, which depends on its seed."""
    _refuse_file(rules)
    pairs = [pairs_of(draw(derive(seed, "graph")).edges) for seed in seeds]
    links = join(pairs, num_agents, is_directed)
    return network(
        links, seeds, device, rules, switched_links(num_agents, seeds, rules["among"] or [])
    )


def _refuse_file(rules: Rules) -> None:
    if rules["file"] is not None and rules["weights"] != "from_file":
        raise ValueError(
            f"graph.file={rules['file'].path}: expected null, or graph=from_file, "
            "or graph.weights=from_file"
        )
