"""From links and rules to a network: how the graph changes, and how much each word counts."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from marlrun.graphs import assumptions, draws
from marlrun.graphs.assumptions import Rules, afford
from marlrun.graphs.draws import Draw
from marlrun.graphs.files import NEGLIGIBLE, TOLERANCE, Table, matrix_in, read_table
from marlrun.graphs.links import Links, join, period, union
from marlrun.graphs.network import Mixing, Network
from marlrun.graphs.rounds import Drawn, Failing, Repeated, Rounds, weighted
from marlrun.graphs.sparse import Pattern
from marlrun.graphs.weights import LOCAL, consensus
from marlrun.types import Seeds


def network(
    links: Links,
    seeds: Seeds,
    device: torch.device,
    rules: Rules,
    others: Sequence[Links] = (),
    table: Table | None = None,
) -> Network:
    """Return the network of `links` under `rules`; `others` are what they switch among.

    `table` is what the rules' file holds, if it was read already.

    ValueError, in one line, for rules that do not go together.
    """
    assumptions.check(rules)
    if rules["weights"] == "from_file":
        assert rules["file"] is not None
        return _from_file(links, seeds, device, table or read_table(rules["file"]))
    parts = [links, *others]
    for part in parts:
        assumptions.check_directed(part.is_directed, rules)
    is_repeated = rules["dynamics"] in ("static", "switching")
    # Agents who change places at random meet everyone.
    is_redrawn = rules["dynamics"] == "redrawn"
    apart = assumptions.unlinked(links) if is_redrawn else union(parts).disconnected()
    is_gossip = rules["dynamics"] == "gossip"
    # Two agents who gossip take their mean, under all weights.
    is_even = is_redrawn or is_gossip or all(part.is_regular for part in parts)
    is_biased = rules["weights"] == "uniform_row" and not is_even
    return Network(
        links.num_agents,
        len(seeds),
        (_repeated if is_repeated else _changing)(parts, seeds, device, rules),
        period=len(parts) * rules["every"] if is_repeated else None,
        is_push_sum=rules["weights"] == "push_sum",
        is_directed=links.is_directed,
        is_shuffled=is_redrawn,
        connected=not len(apart),
        problem=assumptions.disconnected(seeds, apart),
        warning=assumptions.IRREGULAR if is_biased else None,
        gossip=links if is_gossip else None,
    )


def redrawn_network(
    masks: Draw, num_agents: int, is_directed: bool, seeds: Seeds, rules: Rules
) -> Network:
    """Return the network of masks of which each has as good a chance as with agents exchanged."""
    weights = rules["weights"]
    size = len(seeds) * num_agents**2
    return Network(
        num_agents,
        len(seeds),
        Drawn(weighted(masks, weights), size, rules["every"]),
        period=None,
        is_push_sum=weights == "push_sum",
        is_directed=is_directed,
        is_shuffled=True,
    )


def is_sparse(links: Links, weights: str) -> bool:
    """Say whether a graph is better mixed sparsely.

    Measured on one core with about 5 entries a row, bmm against CSR, K = 10: 5 and 16 us at 20
    agents, 14 and 20 at 50, 50 and 30 at 100, 130 and 30 at 200, 3800 and 56 at 1000. With more
    entries CSR loses from about a fifth of them on. Below 200 agents there is little to win, and
    dense matrices can do more.
    """
    entries = len(links.places) / links.num_replicas + links.num_agents
    is_thin = entries <= links.num_agents**2 / 8
    return weights in LOCAL and links.num_agents >= 200 and is_thin


def _repeated(parts: Sequence[Links], seeds: Seeds, device: torch.device, rules: Rules) -> Rounds:
    """Return the rounds of graphs that follow each other; of one, if it does not change."""
    weights = rules["weights"]

    def mixing(links: Links) -> Mixing:
        if is_sparse(links, weights):
            holds = torch.ones(len(links.places), device=device)
            return Pattern(links, weights, device).mixing(holds)
        afford(links.num_agents, seeds, f"graph.weights={weights}", len(parts))
        return Mixing(_matrix(links, seeds, device, weights))

    return Repeated([mixing(links) for links in parts], rules["every"])


def _changing(parts: Sequence[Links], seeds: Seeds, device: torch.device, rules: Rules) -> Rounds:
    """Return the rounds of a graph that changes at random."""
    (links,) = parts
    weights, dynamics, every = rules["weights"], rules["dynamics"], rules["every"]
    stream = draws.stream_of(seeds, device)
    failure = rules["failure"] or 0.0
    if dynamics == "link_failure" and is_sparse(links, weights):
        failures = draws.Failures(links, stream, failure)
        return Failing(Pattern(links, weights, device), failures, every)
    afford(links.num_agents, seeds, f"graph.dynamics={dynamics}")
    if dynamics == "redrawn":
        matrix = _matrix(links, seeds, device, weights)
        assumptions.check_exchange(matrix, weights, seeds)
        draw = draws.relabelled(stream, matrix)
    elif dynamics == "gossip":
        assumptions.check_linked(links, seeds)
        draw = weighted(draws.one_link(stream, links), weights)
    else:
        draw = weighted(draws.failing(links, stream, failure), weights)
    return Drawn(draw, len(seeds) * links.num_agents**2, every)


def _matrix(links: Links, seeds: Seeds, device: torch.device, weights: str) -> Tensor:
    """Return the matrices [R, N, N] of a graph."""
    matrix = consensus(draws.mask_of(links, device), weights)
    assumptions.check_positive(matrix, weights, seeds)
    return matrix.clamp_(min=0.0)


def _from_file(links: Links, seeds: Seeds, device: torch.device, table: Table) -> Network:
    """Return the network whose matrix is a file's; its links are those that have weight."""
    size, file = links.num_agents, table.path
    afford(size, seeds, "graph.weights=from_file")
    matrix = matrix_in(table, size)
    hearer, heard = np.nonzero(matrix > NEGLIGIBLE)
    found = join([np.stack((heard, hearer), 1)] * len(seeds), size, is_directed=True)
    if len(extra := np.setdiff1d(found.places, links.places)):
        entry = f"entry ({extra[0] // size % size}, {extra[0] % size})"
        raise ValueError(f"graph.file={file}: {entry} has weight, but is no link of the graph")
    apart = found.disconnected()
    problem = assumptions.disconnected(seeds, apart)
    if problem is None and period(hearer, heard, size) > 1:
        expected = "expected weights that mix, such as some on the diagonal"
        problem = f"graph.file={file}: the agents {assumptions.NEVER_AGREE}; {expected}"
    sums = matrix.sum(0)
    worst = int(np.abs(sums - 1).argmax())
    told = f"graph.file={file}: not column-stochastic, column {worst} sums to {sums[worst]:.3g}"
    held = torch.from_numpy(matrix).float().repeat(len(seeds), 1, 1).to(device)
    return Network(
        size,
        len(seeds),
        Repeated([Mixing(held)]),
        period=1,
        is_directed=not np.array_equal(matrix != 0, matrix.T != 0),
        connected=not len(apart),
        problem=problem,
        warning=f"{told}: the team's mean is weighted"
        if abs(sums[worst] - 1) > TOLERANCE
        else None,
    )
