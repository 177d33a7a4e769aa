"""Claims 2b and 2c: with theta frozen, critics and mu reach the whole team's exact values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from marlrun.exact import average_reward
from paper2.critics import averaged, learned, rest
from paper2.summaries import Array, Node, far, summary
from paper2.worlds import FROZEN, REDRAWN, World, world

SMALL_GAMES: list[tuple[Node, Sequence[int]]] = [
    ({"name": "networked_mdp", "num_agents": 3, "num_states": 4}, (0, 1, 2)),
    ({"name": "public_goods", "num_agents": 6}, (0, 1, 2)),
]


def fixed_point(algo: str, num_ticks: int = 60_000, num_seeds: int = 10, games: Any = None) -> Node:
    """Claims 2b and 2c: with theta frozen, the critics' mean and mu, last and averaged over time.

    The averages are over the second half of the steps: SGD with steps t^-.65 is noisy at its end,
    and the average is what converges at the best rate (Polyak & Juditsky, 1992).
    """
    cells: list[Node] = []
    for game, mdps in games or SMALL_GAMES:
        at = world(algo, game, REDRAWN, num_seeds, FROZEN, theta=1, mdps=mdps)
        whole = _approach(at, num_ticks, num_seeds)
        for i, mdp in enumerate(mdps):
            own = slice(i * num_seeds, (i + 1) * num_seeds)
            cell = {name: summary(values[own]) for name, values in whole.items()}
            cells.append(game | {"mdp": mdp} | cell)
    return {"env_steps": num_ticks, "seeds": num_seeds, "algo": algo, "cells": cells}


def _approach(at: World, num_ticks: int, num_seeds: int) -> dict[str, Array]:
    """Return relative errors, of every replica; a mean over the seeds of a game has one for all."""
    goals = rest(at.learner, at.games)
    pi = at.learner.actor.table().double().numpy()
    gains = np.stack(
        [average_reward.evaluate(*each).gains for each in zip(at.games, pi, strict=True)]
    )
    *means, mu = averaged(at, num_ticks, [*learned(at.learner), at.learner.average])
    found: dict[str, Array] = {}
    names = ("critic", "reward")
    for name, last, mean, goal in zip(names, learned(at.learner), means, goals, strict=False):
        found[name] = far(mean.mean(1), goal)
        pooled = mean.mean(1).reshape(-1, num_seeds, mean.shape[-1]).mean(1)
        found[f"{name}, mean over seeds"] = far(pooled.repeat(num_seeds, 0), goal)
        found[f"{name}, last"] = far(last.double().numpy().mean(1), goal)
    found["J"] = abs(mu.mean(1) / gains.mean(1) - 1)
    found["J^i"] = abs(mu / gains - 1).mean(1)
    found["J^i, worst agent"] = abs(mu / gains - 1).max(1)
    return found
