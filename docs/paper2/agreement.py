"""Claim 2a: critics agree on changing graphs."""

import itertools

from marlrun.ops.consensus import disagreement
from paper2.critics import learned
from paper2.summaries import Node, summary
from paper2.worlds import ALGOS, PAPER, REDRAWN, world

CHANGING = {
    "erdos_renyi, redrawn": REDRAWN,
    "ring, half of the links fail": {"name": "ring", "dynamics": "link_failure", "failure": 0.5},
    "complete, gossip": {"name": "complete", "dynamics": "gossip"},
    "no communication": {"name": "none"},
}


def agreement(num_ticks: int = 10_000, num_seeds: int = 10) -> Node:
    """Claim 2a: sum_i |w^i - wbar|^2 / (N |wbar|^2) at the end of learning, actors learning too."""
    game = {"name": "networked_mdp", "num_agents": 10, "num_states": 10}
    found: Node = {}
    for algo, (name, graph) in itertools.product(ALGOS, CHANGING.items()):
        at = world(algo, game, graph, num_seeds, PAPER)
        at.run(num_ticks)
        values = [disagreement(x).tolist() for x in learned(at.learner)]
        found[f"{algo}: {name}"] = dict(
            zip(("critic", "reward"), map(summary, values), strict=False)
        )
    return {"env_steps": num_ticks, "seeds": num_seeds, "game": game, "cells": found}
