"""Makes a network from links and from rules, which say how it changes and how it is weighted."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from marlrun.graphs import assumptions, sampling
from marlrun.graphs.assumptions import Rules, afford
from marlrun.graphs.files import NEGLIGIBLE, TOLERANCE, Table, matrix_in, read_table
from marlrun.graphs.links import Links, join, period, union
from marlrun.graphs.network import Mixing, Network
from marlrun.graphs.rounds import Failing, Repeated, Rounds, Sampled, weighted
from marlrun.graphs.sampling import Sampler
from marlrun.graphs.sparse import Pattern
from marlrun.graphs.weights import LOCAL, consensus
from marlrun.types import Seeds


def network(
    links: Links,
    seeds: Seeds,
    device: torch.device,
    rules: Rules,
    alternatives: Sequence[Links] = (),
    table: Table | None = None,
) -> Network:
    """Return the network of `links` under `rules`; it may switch to the links of `alternatives`.

    `table` holds the numbers of the file that the rules name, if it was read already. ValueError,
    in one line, for rules that do not go together.
    """
    assumptions.check(rules)
    if rules["weights"] == "from_file":
        assert rules["file"] is not None
        return _from_file(links, seeds, device, table or read_table(rules["file"]))
    parts = [links, *alternatives]
    for part in parts:
        assumptions.check_directed(part.is_directed, rules)
    is_repeated = rules["dynamics"] in ("static", "switching")
    # If agents are exchanged at random, each meets all others.
    is_redrawn = rules["dynamics"] == "redrawn"
    disconnected = assumptions.unlinked(links) if is_redrawn else union(parts).disconnected()
    is_gossip = rules["dynamics"] == "gossip"
    # Two agents that gossip take their mean, whatever the weights are.
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
        connected=not len(disconnected),
        problem=assumptions.disconnected(seeds, disconnected),
        warning=assumptions.IRREGULAR if is_biased else None,
        gossip=links if is_gossip else None,
    )


def redrawn_network(
    masks: Sampler, num_agents: int, is_directed: bool, seeds: Seeds, rules: Rules
) -> Network:
    """Return the network of random masks, in whose distribution all agents are equal."""
    weights = rules["weights"]
    size = len(seeds) * num_agents**2
    return Network(
        num_agents,
        len(seeds),
        Sampled(weighted(masks, weights), size, rules["every"]),
        period=None,
        is_push_sum=weights == "push_sum",
        is_directed=is_directed,
        is_shuffled=True,
    )


def is_sparse(links: Links, weights: str) -> bool:
    """Say whether a graph mixes faster with sparse matrices.

    Measured on one core with about 5 entries a row, bmm against CSR, K = 10: 5 and 16 us at 20
    agents, 14 and 20 at 50, 50 and 30 at 100, 130 and 30 at 200, 3800 and 56 at 1000. CSR is
    slower from about a fifth of all entries on. Below 200 agents there is little to gain, and dense
    matrices can do more.
    """
    entries = len(links.places) / links.num_replicas + links.num_agents
    is_thin = entries <= links.num_agents**2 / 8
    return weights in LOCAL and links.num_agents >= 200 and is_thin


def _repeated(parts: Sequence[Links], seeds: Seeds, device: torch.device, rules: Rules) -> Rounds:
    """Return the rounds of one or more graphs that follow each other again and again."""
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
    stream = sampling.stream_of(seeds, device)
    failure = rules["failure"] or 0.0
    if dynamics == "link_failure" and is_sparse(links, weights):
        failures = sampling.Failures(links, stream, failure)
        return Failing(Pattern(links, weights, device), failures, every)
    afford(links.num_agents, seeds, f"graph.dynamics={dynamics}")
    if dynamics == "redrawn":
        matrix = _matrix(links, seeds, device, weights)
        assumptions.check_exchange(matrix, weights, seeds)
        sampler = sampling.relabelled(stream, matrix)
    elif dynamics == "gossip":
        assumptions.check_linked(links, seeds)
        sampler = weighted(sampling.one_link(stream, links), weights)
    else:
        sampler = weighted(sampling.failing(links, stream, failure), weights)
    return Sampled(sampler, len(seeds) * links.num_agents**2, every)


def _matrix(links: Links, seeds: Seeds, device: torch.device, weights: str) -> Tensor:
    """Return the matrices [R, N, N] of a graph."""
    matrix = consensus(sampling.mask_of(links, device), weights)
    assumptions.check_positive(matrix, weights, seeds)
    return matrix.clamp_(min=0.0)


def _from_file(links: Links, seeds: Seeds, device: torch.device, table: Table) -> Network:
    """Return the network whose matrix is in a file; its links are those that have weight."""
    size, file = links.num_agents, table.path
    afford(size, seeds, "graph.weights=from_file")
    matrix = matrix_in(table, size)
    receiver, sender = np.nonzero(matrix > NEGLIGIBLE)
    links_with_weight = join([np.stack((sender, receiver), 1)] * len(seeds), size, is_directed=True)
    if len(extra := np.setdiff1d(links_with_weight.places, links.places)):
        entry = f"entry ({extra[0] // size % size}, {extra[0] % size})"
        raise ValueError(f"graph.file={file}: {entry} has weight, but is no link of the graph")
    disconnected = links_with_weight.disconnected()
    problem = assumptions.disconnected(seeds, disconnected)
    if problem is None and period(receiver, sender, size) > 1:
        expected = "expected weights that mix, such as some on the diagonal"
        problem = f"graph.file={file}: the agents {assumptions.NEVER_AGREE}; {expected}"
    sums = matrix.sum(0)
    worst = int(np.abs(sums - 1).argmax())
    bias = f"graph.file={file}: not column-stochastic, column {worst} sums to {sums[worst]:.3g}"
    matrices = torch.from_numpy(matrix).float().repeat(len(seeds), 1, 1).to(device)
    return Network(
        size,
        len(seeds),
        Repeated([Mixing(matrices)]),
        period=1,
        is_directed=not np.array_equal(matrix != 0, matrix.T != 0),
        connected=not len(disconnected),
        problem=problem,
        warning=f"{bias}: the team's mean is weighted"
        if abs(sums[worst] - 1) > TOLERANCE
        else None,
    )
