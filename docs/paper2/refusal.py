"""One agent that sends and does not listen: where the others' critics go.

What they earn is `marlrun -m +experiment=paper2_refusal`.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from paper2.critics import averaged, rest
from paper2.summaries import Node, summary
from paper2.worlds import ALGOS, FROZEN, world

RULES = ("mean", "trim", "clip", "nearest")
CASES: dict[str, Node] = {
    "no fault, mean": {},
    "no fault, nearest": {"aggregate": "nearest"},
    **{f"fault, {rule}": {"faulty_agents": [0], "aggregate": rule} for rule in RULES},
}
REFUSAL_GAMES: list[Node] = [
    {"name": "public_goods", "num_agents": 6},
    {"name": "public_goods", "num_agents": 10},
    {"name": "networked_mdp", "num_agents": 6, "num_states": 4},
]


def refusal(
    num_ticks: int = 20_000, num_seeds: int = 10, games: Any = None, cases: dict[str, Node] = CASES
) -> Node:
    """Algorithm 1 on a complete graph, theta frozen (uniform): where do the others' critics go?

    Distances are between the mean critic of agents 1, 2, .., averaged over the second half of the
    steps, and fixed points, relative to the distance between the honest agents' and the faulty
    agent's.
    """
    cells: list[Node] = []
    for game, (name, case) in itertools.product(games or REFUSAL_GAMES, cases.items()):
        at = world(ALGOS[0], game, {"name": "complete"}, num_seeds, FROZEN | case)
        teams = {"honest": slice(1, None), "team": slice(None), "faulty": slice(1)}
        goals = {
            who: rest(at.learner, [one._replace(rewards=one.rewards[which]) for one in at.games])[0]
            for who, which in teams.items()
        }
        (mean,) = averaged(at, num_ticks, [at.learner.critic.parameters])
        scale = np.linalg.norm(goals["honest"] - goals["faulty"], axis=-1)
        distances = {
            who: summary(np.linalg.norm(mean[:, 1:].mean(1) - goal, axis=-1) / scale)
            for who, goal in goals.items()
        }
        cells.append({"game": f"{game['name']}, {game['num_agents']} agents", "case": name})
        cells[-1] |= distances
    return {"env_steps": num_ticks, "seeds": num_seeds, "cells": cells}


def draw_refusal(found: Node, out: Path) -> None:
    """Draw the distances to both fixed points."""
    games = list(dict.fromkeys(cell["game"] for cell in found["cells"]))
    figure = Figure(figsize=(4 * len(games), 4.2), layout="constrained")
    for ax, game in zip(figure.subplots(1, len(games), sharey=True), games, strict=True):
        cells = [cell for cell in found["cells"] if cell["game"] == game]
        places = np.arange(len(cells))
        for shift, (to, colour) in enumerate((("honest", "#0072B2"), ("faulty", "#D55E00"))):
            at = places + 0.4 * shift - 0.2
            means = [cell[to]["mean"] for cell in cells]
            errors = [cell[to]["interval"][1] - cell[to]["mean"] for cell in cells]
            label = f"to the {'honest team' if to == 'honest' else 'refuser'}'s fixed point"
            ax.bar(at, means, 0.38, yerr=errors, color=colour, label=label)
        ax.set(title=game, ylabel="distance of the honest critics' mean")
        ax.set_xticks(places, [cell["case"] for cell in cells], rotation=40, ha="right")
        ax.legend(fontsize="small")
    figure.suptitle(f"Agent 0 sends and does not listen; complete graph, {found['seeds']} seeds")
    figure.savefig(out, dpi=150)
