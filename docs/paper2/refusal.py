"""One agent that sends and does not listen: where the others' critics go.

What they earn is `marlrun -m +experiment=paper2_refusal`.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from marlrun.system.plotting import new_figure, save, style
from marlrun.types import Step
from paper2.critics import averaged, rest
from paper2.summaries import Node, summary
from paper2.worlds import ALGOS, FROZEN, world

RULES = ("mean", "trim", "clip", "nearest")
REWARDS = ("private", "alike")
CASES: dict[str, Node] = {
    "no fault, mean": {},
    "no fault, nearest": {"mixing.aggregate": "nearest"},
    **{f"fault, {rule}": {"mixing.faulty_agents": [0], "mixing.aggregate": rule} for rule in RULES},
}
REFUSAL_GAMES: list[Node] = [{"name": "public_goods", "num_agents": n} for n in (6, 10)]


class Alike:
    """A game whose agents 1, 2, .. are paid what they earn on average."""

    def __init__(self, env: Any):
        self._env, self.spec, self.num_envs = env, env.spec, env.num_envs
        self.reset, self.restart = env.reset, env.restart

    def step(self, action: Tensor) -> Step:
        """Play."""
        after = self._env.step(action)
        mean = after.reward[..., 1:].mean(-1, keepdim=True).expand_as(after.reward[..., 1:])
        return after._replace(reward=torch.cat((after.reward[..., :1], mean), -1))


def refusal(
    num_ticks: int = 20_000,
    num_seeds: int = 10,
    games: Sequence[Node] = REFUSAL_GAMES,
    cases: dict[str, Node] = CASES,
    rewards: Sequence[str] = REWARDS,
) -> Node:
    """Algorithm 1 on a complete graph, theta frozen (uniform): where do the others' critics go?

    Their rewards are private, or alike: the mean of the honest agents' for each of them. Distances
    are between the mean critic of agents 1, 2, .., averaged over the second half of the steps, and
    fixed points, relative to the distance between the honest agents' and the faulty agent's.
    """
    cells: list[Node] = []
    for game, kind, (name, case) in itertools.product(games, rewards, cases.items()):
        wrap = Alike if kind == "alike" else None
        at = world(ALGOS[0], game, {"name": "complete"}, num_seeds, FROZEN | case, wrap=wrap)
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
        label = f"{game['name']}, {game['num_agents']} agents, rewards {kind}"
        cells.append({"game": label, "case": name} | distances)
    return {"env_steps": num_ticks, "seeds": num_seeds, "cells": cells}


@style()
def draw_refusal(found: Node, out: Path) -> None:
    """Draw the distances to both fixed points."""
    games = list(dict.fromkeys(cell["game"] for cell in found["cells"]))
    figure = new_figure(figsize=(9, 3.5 * len(games) / 2), layout="constrained")
    grid = figure.subplots(len(games) // 2, 2, sharex=True, sharey=True)
    for ax, game in zip(grid.flat, games, strict=True):
        cells = [cell for cell in found["cells"] if cell["game"] == game]
        places = np.arange(len(cells))
        for shift, (to, colour) in enumerate((("honest", "#0072B2"), ("faulty", "#D55E00"))):
            at = places + 0.4 * shift - 0.2
            means = [cell[to]["mean"] for cell in cells]
            errors = [cell[to]["interval"][1] - cell[to]["mean"] for cell in cells]
            label = f"to the {'honest team' if to == 'honest' else 'refuser'}'s fixed point"
            ax.bar(at, means, 0.38, yerr=errors, color=colour, label=label)
        ax.set_title(game)
        ax.set_xticks(places, [cell["case"] for cell in cells], rotation=40, ha="right")
    figure.supylabel("distance of the honest critics' mean")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"Agent 0 sends and does not listen; complete graph, {found['seeds']} seeds")
    save(figure, out, "png", dpi=150)
