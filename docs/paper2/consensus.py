"""Claim 2g: computed rho predicts the speed of consensus.

No experiment of conf/: an ordinary run starts with equal critics, so what it shows of disagreement
is what learning adds, not what a round leaves.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import stats

from marlrun.graphs.measures import measure
from marlrun.runner.build import build_graph
from marlrun.system.plotting import new_figure, save, style
from paper2.summaries import Array, Node, summary
from paper2.worlds import CPU, PAPER, REDRAWN, node, world

TOPOLOGIES: dict[str, Node] = {
    "complete, half of the links fail": {
        "name": "complete",
        "dynamics": "link_failure",
        "failure": 0.5,
    },
    "erdos_renyi, redrawn": REDRAWN,
    "torus": {"name": "torus"},
    "grid": {"name": "grid"},
    "star": {"name": "star"},
    "ring": {"name": "ring"},
    "complete, gossip": {"name": "complete", "dynamics": "gossip"},
    "ring, half of the links fail": {
        "name": "ring",
        "dynamics": "link_failure",
        "failure": 0.5,
    },
    "path": {"name": "path"},
}


def consensus(num_agents: int = 16, num_seeds: int = 20, num_features: int = 8) -> Node:
    """Claim 2g: what a round leaves of the squared disagreement, against computed rho.

    Mixing alone, from random numbers; and within learning, from critics 1,000 apart, so that what
    learning adds to the disagreement is nothing beside it.
    """
    rows = []
    for name, graph in TOPOLOGIES.items():
        keys = node("graph", **graph)
        rho = measure(build_graph(keys, num_agents, range(1), CPU, []), 2_000).rho
        rounds = int(min(400, max(8, 16 / -np.log(rho))))
        network = build_graph(keys, num_agents, range(num_seeds), CPU, [])
        x = _apart(num_seeds, num_agents, num_features)
        mixed = [_spread(x := network.draw()(x)) for _ in range(rounds)]
        game = {"name": "networked_mdp", "num_agents": num_agents, "num_states": 5}
        at = world("networked_ac_q", game, graph, num_seeds, PAPER | {"steps.critic": 0.01})
        at.learner.critic.parameters.copy_(1_000 * _apart(num_seeds, num_agents, 10))
        at.run(1)
        within = []
        for _ in range(rounds):
            at.run(1)
            within.append(_spread(at.learner.critic.parameters))
        row = {"graph": name, "rho": rho, "rounds": rounds}
        rows.append(row | {"mixing": _rate(mixed), "learning": _rate(within)})
    rho = [row["rho"] for row in rows]
    order = {
        how: float(stats.spearmanr(rho, [row[how]["mean"] for row in rows]).statistic)
        for how in ("mixing", "learning")
    }
    return {"num_agents": num_agents, "seeds": num_seeds, "spearman": order, "cells": rows}


def _apart(num_seeds: int, num_agents: int, num_features: int) -> torch.Tensor:
    drawn = np.random.default_rng(0).normal(size=(num_seeds, num_agents, num_features))
    return torch.tensor(drawn, dtype=torch.float32)


def _spread(x: torch.Tensor) -> Array:
    """Return sum_i |x^i - xbar|^2 of every replica."""
    x = x.double()
    return (x - x.mean(1, keepdim=True)).square().sum((1, 2)).numpy()


def _rate(spreads: list[Array]) -> Node:
    """Return what a round leaves, from the second half of the rounds, by each replica's slope."""
    logs = np.log(np.stack(spreads))
    half = len(logs) // 2
    return summary(np.exp((logs[-1] - logs[half]) / (len(logs) - 1 - half)))


@style()
def draw_consensus(found: Node, out: Path) -> None:
    """Draw measured rates over rho."""
    figure = new_figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, label="rate = rho")
    for how, mark, colour in (("mixing", "o", "#0072B2"), ("learning", "x", "#D55E00")):
        rho = [row["rho"] for row in found["cells"]]
        rates = [row[how]["mean"] for row in found["cells"]]
        label = {"mixing": "mixing alone", "learning": "within learning"}[how]
        axes.plot(rho, rates, mark, color=colour, label=label)
    for i, row in enumerate(sorted(found["cells"], key=lambda row: row["rho"])):
        place = (row["rho"], row["mixing"]["mean"])
        shift, side = ((-8, 4), "right") if i % 2 else ((8, -9), "left")
        axes.annotate(row["graph"], place, shift, textcoords="offset points", fontsize=7, ha=side)
    axes.set(
        xlabel="rho, computed",
        ylabel="what a round leaves of the squared disagreement",
        title=f"{found['num_agents']} agents, {found['seeds']} seeds",
        xlim=(-0.05, 1.15),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, out, "png", dpi=150)
