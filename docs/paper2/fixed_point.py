"""Claims 2b and 2c: with theta frozen, critics and mu reach the whole team's exact values."""

from itertools import groupby

import numpy as np

from marlrun.exact import average_reward
from paper2.critics import averaged, learned, rest
from paper2.experiments import jobs
from paper2.summaries import Array, Node, far, summary
from paper2.worlds import World, at_work, game_name


def fixed_point(experiment: str, *typed: str, num_ticks: int | None = None) -> Node:
    """Claims 2b and 2c: with theta frozen, the critics' mean and mu, last and averaged over time.

    Of the games of `marlrun -m +experiment=EXPERIMENT TYPED`, but with policies that are drawn, not
    uniform. The averages are over the second half of the steps: SGD with steps t^-.65 is noisy at
    its end, and the average is what converges at the best rate (Polyak & Juditsky, 1992).
    """
    cells: list[Node] = []
    asked = jobs(experiment, *typed)
    num_ticks, num_seeds = num_ticks or asked[0]["env_steps"], asked[0]["replicas"]
    for _, same in groupby(asked, lambda job: job | {"env": job["env"] | {"mdp": None}}):
        alike = list(same)
        whole = _approach(at_work(alike, theta=1), num_ticks, num_seeds)
        for i, job in enumerate(alike):
            own = slice(i * num_seeds, (i + 1) * num_seeds)
            game = {key: job["env"][key] for key in ("num_agents", "num_states", "mdp")}
            cell = {name: summary(values[own]) for name, values in whole.items()}
            cells.append({"name": game_name(job)} | game | cell)
    return {"env_steps": num_ticks, "seeds": num_seeds, "experiment": experiment, "cells": cells}


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
