"""Checks of what consensus assumes of a graph, of rules that clash, and of too large matrices."""

from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
from torch import Tensor

from marlrun.graphs.links import Ints, Links
from marlrun.graphs.weights import LOCAL, Weights
from marlrun.system.reading import InputFile
from marlrun.types import Seeds

Dynamics = Literal["static", "redrawn", "link_failure", "gossip", "switching"]

DENSE_ENTRIES = 2**27
"""Dense matrices of all replicas may have so many entries; they take half a GB a few times."""
LISTED_LINKS = 5e6
"""How many links of a graph networkx may list."""
ROUNDING = 1e-6
"""How far below 0 an entry may be that is 0 but for rounding."""
NEVER_AGREE = "only exchange what they have and never agree, rho is 1"
IRREGULAR = (
    "graph.weights=uniform_row: not column-stochastic where agents hear unequally many, the team's "
    "mean is weighted by degree; metropolis does not do that"
)


class Rules(TypedDict):
    """The keys that every graph takes; conf/graph/none.yaml says what they mean."""

    weights: Weights
    dynamics: Dynamics
    every: int
    failure: float | None
    among: Sequence[str] | None
    file: InputFile | None


def check(rules: Rules) -> None:
    """Raise ValueError if a rule lacks a value, or has one that would change nothing."""
    dynamics, weights = rules["dynamics"], rules["weights"]
    for key, owner in (("failure", "link_failure"), ("among", "switching")):
        if rules[key] in (None, []) and dynamics == owner:
            value = "=[]" if rules[key] == [] else " missing"
            raise ValueError(f"graph.{key}{value}: expected a value with graph.dynamics={owner}")
        if rules[key] is not None and dynamics != owner:
            raise ValueError(f"graph.{key}={rules[key]}: expected graph.dynamics={owner} with it")
    if rules["every"] > 1 and dynamics == "static":
        raise ValueError(f"graph.every={rules['every']}: expected 1 with graph.dynamics=static")
    if weights == "from_file" and rules["file"] is None:
        raise ValueError("graph.file missing: expected a file with graph.weights=from_file")
    if weights == "from_file" and dynamics != "static":
        raise ValueError(f"graph.dynamics={dynamics}: expected static with graph.weights=from_file")
    if weights == "best_constant" and dynamics in ("link_failure", "gossip"):
        raise ValueError(f"graph.dynamics={dynamics}: expected static with graph.weights={weights}")


def check_directed(is_directed: bool, rules: Rules) -> None:
    """Raise ValueError if a directed graph has weights or dynamics for undirected graphs."""
    if is_directed and rules["weights"] != "push_sum":
        weights = rules["weights"]
        raise ValueError(f"graph.weights={weights}: expected push_sum, the graph is directed")
    if is_directed and rules["dynamics"] == "gossip":
        raise ValueError("graph.dynamics=gossip: expected a graph that is not directed")


def check_redrawn(num_agents: int, is_directed: bool, seeds: Seeds, rules: Rules) -> None:
    """Raise ValueError unless the rules suit a new random graph in every round."""
    check(rules)
    check_directed(is_directed, rules)
    if rules["weights"] == "best_constant":
        expected = "expected weights without negative entries, such as metropolis"
        raise ValueError(f"graph.weights=best_constant: {expected}, where graphs are redrawn")
    afford(num_agents, seeds, "graph.dynamics=redrawn")


def check_linked(links: Links, seeds: Seeds) -> None:
    """Raise ValueError if the graph of a replica has no link for gossip."""
    if len(lonely := np.setdiff1d(np.arange(len(seeds)), links.replica)):
        raise ValueError(f"graph.dynamics=gossip: the graph of seed {seeds[lonely[0]]} has no link")


def check_positive(matrix: Tensor, weights: str, seeds: Seeds) -> None:
    """Raise ValueError if a matrix [R, N, N] has a negative entry."""
    if (lowest := matrix.min()) < -ROUNDING:
        replica, agent = map(int, (matrix == lowest).nonzero()[0, :2])
        where = f"{float(lowest):.3g} on agent {agent} of seed {seeds[replica]}"
        raise ValueError(f"graph.weights={weights}: negative ({where}); expected metropolis")


def check_exchange(matrix: Tensor, weights: str, seeds: Seeds) -> None:
    """Raise ValueError if agents only exchange values in every round that redraws a matrix.

    The matrix is [R, N, N]. If each row has one entry, to exchange agents does not help.
    """
    keeps = matrix.diagonal(dim1=-2, dim2=-1) > ROUNDING
    exchanges = (matrix > 1 - ROUNDING).any(-1).all(-1) & ~keeps.all(-1)
    if exchanges.any():
        never = f"the agents of seed {seeds[int(exchanges.nonzero()[0])]} {NEVER_AGREE}"
        raise ValueError(f"graph.weights={weights}: {never}; expected metropolis")


def afford(num_agents: int, seeds: Seeds, key: str, graphs: int = 1) -> None:
    """Raise ValueError, naming `key`, if the replicas' dense matrices take too much memory.

    Each replica has a matrix for each of the `graphs` that follow each other.
    """
    count = len(seeds) * graphs
    if count * num_agents**2 > DENSE_ENTRIES:
        size = f"{count} dense matrices of {num_agents} x {num_agents} do not fit into memory"
        sparse_rules = f"dynamics static or link_failure with weights {', '.join(LOCAL)}"
        raise ValueError(f"{key}: {size}; expected few links and {sparse_rules}")


def afford_links(links: float, key: str) -> None:
    """Raise ValueError, naming `key`, if a graph has too many links to list."""
    if links > LISTED_LINKS:
        raise ValueError(f"{key}: {links:.3g} links are too many to list, expected fewer")


def disconnected(seeds: Seeds, replicas: Ints) -> str | None:
    """Return the sentence that the mean graphs of `replicas` are disconnected; None if none is."""
    if not len(replicas):
        return None
    seed_names = ", ".join(str(seeds[replica]) for replica in map(int, replicas[:3]))
    seed_names += ", .." if len(replicas) > 3 else ""
    return (
        f"graph: disconnected in the mean with seed {seed_names}, its agents cannot agree; expected a "
        "path between any two, or graph=none"
    )


def unlinked(links: Links) -> Ints:
    """Return the replicas without a link, which stay disconnected when agents are exchanged."""
    counts = np.bincount(links.replica, minlength=links.num_replicas)
    return np.flatnonzero((counts == 0) & (links.num_agents > 1))
