"""One agent that sends and does not listen: where the others' critics go, and what they earn."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from marlrun.exact import public_goods
from paper2.critics import averaged, rest
from paper2.summaries import Node, summary
from paper2.worlds import ALGOS, FROZEN, TEAM, node, world

CASES: dict[str, Node] = {
    "no fault, mean": {},
    "no fault, trim": {"aggregate": "trim"},
    "no fault, clip": {"aggregate": "clip"},
    "fault, mean": {"faulty_agents": [0]},
    "fault, trim": {"faulty_agents": [0], "aggregate": "trim"},
    "fault, clip": {"faulty_agents": [0], "aggregate": "clip"},
}
REFUSAL_GAMES: list[Node] = [
    {"name": "networked_mdp", "num_agents": 6, "num_states": 4},
    {"name": "public_goods", "num_agents": 6},
]


def refusal(
    num_ticks: int = 6_000,
    num_seeds: int = 10,
    games: Any = None,
    cases: dict[str, Node] = CASES,
    learning: bool = True,
) -> Node:
    """One agent sends and does not listen, on a complete graph: where do the others' critics go?

    Theta is frozen (uniform); distances are between the mean critic of agents 1, 2, .., averaged
    over the second half of the steps, and fixed points, relative to the distance between the honest
    agents' and the faulty agent's.
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
        cells.append({"game": game["name"], "case": name, **distances})
    found: Node = {"env_steps": num_ticks, "seeds": num_seeds, "cells": cells}
    return found | ({"returns": refused_returns(num_seeds, cases)} if learning else {})


def refused_returns(num_seeds: int, cases: Node, num_ticks: int = 10_000) -> Node:
    """Return the exact team reward per step of what is learned on public_goods beside a refuser."""
    found: Node = {}
    for name, case in cases.items():
        at = world(ALGOS[0], REFUSAL_GAMES[1], {"name": "complete"}, num_seeds, TEAM | case)
        at.run(num_ticks)
        keys = node("env", "public_goods")
        p = at.learner.actor.table().double().numpy()[..., 1]
        found[name] = summary([public_goods.value(one, **keys).mean() for one in p])
    return found


def draw_refusal(found: Node, out: Path) -> None:
    """Draw the distances to both fixed points, and the returns."""
    games = sorted({cell["game"] for cell in found["cells"]})
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = figure.subplots(1, len(games) + 1)
    for ax, game in zip(axes, games, strict=False):
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
    names = list(found["returns"])
    means = [found["returns"][name]["mean"] for name in names]
    errors = [
        found["returns"][name]["interval"][1] - found["returns"][name]["mean"] for name in names
    ]
    axes[-1].bar(np.arange(len(names)), means, 0.6, yerr=errors, color="#009E73")
    axes[-1].set_xticks(np.arange(len(names)), names, rotation=40, ha="right")
    axes[-1].set(title="public_goods, actors learn", ylabel="team reward per step, exact")
    figure.suptitle(f"Agent 0 sends and does not listen; 6 agents, {found['seeds']} seeds")
    figure.savefig(out, dpi=150)
