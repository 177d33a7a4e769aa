"""The actor's mean direction against the exact gradient, through the critic and the true one.

No experiment of conf/: critics are put where they come to rest, and the actor's steps are added up
instead of taken, which no ordinary run does.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from marlrun.exact import average_reward
from marlrun.exact.average_reward import Game
from paper2.critics import learned, rest, tables
from paper2.summaries import Array, Node, cosine, far
from paper2.worlds import ALGOS, REDRAWN, TEAM, world

DIRECTIONS: list[Node] = [
    {"algo": ALGOS[0], "features": "team", "game": "networked_mdp"},
    {"algo": ALGOS[0], "features": "random", "game": "networked_mdp"},
    {"algo": ALGOS[0], "features": "team", "game": "public_goods"},
    {"algo": ALGOS[0], "features": "random", "game": "public_goods"},
    {"algo": ALGOS[1], "features": "team", "game": "networked_mdp"},
    {"algo": ALGOS[1], "features": "team", "game": "public_goods"},
]


def gradient(num_ticks: int = 3_000, num_seeds: int = 60) -> Node:
    """Compare the actor's mean direction, theta frozen and critics at rest, with exact gradients.

    `random` has one feature less than pairs of state and joint action, so that with the constant it
    can tell all apart: there the critic's gradient is the true one.
    """
    return {
        "env_steps": num_ticks,
        "seeds": num_seeds,
        "cells": [case | direction(case, num_ticks, num_seeds) for case in DIRECTIONS],
    }


def direction(case: Node, num_ticks: int, num_seeds: int) -> Node:
    """Compare for one algorithm, kind of features and game."""
    game = {"name": case["game"], "num_agents": 3, "num_states": 3}
    complete = 3 * 2**3 - 1
    settings = TEAM | {"critic.features": case["features"], "critic.num_features": complete}
    still = {"steps.critic": 0.0, "steps.actor": 1.0, "steps.actor_power": 0.0}
    at = world(case["algo"], game, REDRAWN, num_seeds, settings | still, theta=1)
    made = at.learner
    game_solved = at.games[0]
    for x, goal in zip(learned(made), rest(made, at.games), strict=True):
        x.copy_(torch.tensor(goal).unsqueeze(1))
    pi = made.actor.table().double().numpy()[0]
    values = average_reward.evaluate(game_solved, pi)
    made.average.copy_(torch.tensor(values.gains))
    total = torch.zeros_like(made.actor.parameters)
    made.actor.ascend = lambda tape, grad: total.add_(made.actor.gradient(tape, grad))
    at.run(num_ticks)
    sampled = total.double().numpy().reshape(num_seeds, -1) / made.updates
    to = partial(average_reward.policy_gradient, game_solved, pi, _logit_features(pi))
    critics = np.stack([to(q).ravel() for q in _critics_q(made, game_solved)])
    true = to(values.q).ravel()
    return {
        "critic's gradient": _compare(sampled, critics),
        "true gradient": _compare(sampled, np.broadcast_to(true, sampled.shape)),
        "cosine of the two": float(cosine(critics.mean(0), true)),
    }


def _critics_q(made: Any, game: Game) -> Array:
    """Return q [R, S, J] as the actor sees it: Q, or the modelled reward and the V that follows."""
    of_state, of_action = tables(made)
    weights = [x[:, 0].double().numpy() for x in learned(made)]
    shape = len(of_action), *game.transitions.shape[:2]
    q = np.einsum("rxk,rk->rx", of_action, weights[-1]).reshape(shape)
    if of_state is None:
        return q
    return q + np.einsum("sjt,rtk,rk->rsj", game.transitions, of_state, weights[0])


def _logit_features(pi: Array) -> Array:
    """Return the features [N, S, A, S * (A - 1)] of a logit per state and action but the first."""
    num_agents, num_states, num_actions = pi.shape
    eye = np.eye(num_states * (num_actions - 1)).reshape(num_states, num_actions - 1, -1)
    one = np.concatenate((np.zeros_like(eye[:, :1]), eye), 1)
    return np.broadcast_to(one, (num_agents, *one.shape))


def _compare(sampled: Array, exact: Array) -> Node:
    """Return cosine and relative error of the mean over seeds, intervals by resampling seeds."""

    def both(which: NDArray[np.intp]) -> tuple[float, float]:
        x, y = sampled[which].mean(0), exact[which].mean(0)
        return float(cosine(x, y)), float(far(x, y))

    again = np.random.default_rng(0).integers(len(sampled), size=(2_000, len(sampled)))
    spread = np.percentile([both(which) for which in again], (2.5, 97.5), axis=0)
    whole, error = both(np.arange(len(sampled)))
    # In standard errors, each number of the direction; about N(0, 1) if there is no bias.
    off = sampled - exact
    scores = off.mean(0) / (off.std(0, ddof=1) / len(off) ** 0.5)
    return {
        "cosine": whole,
        "cosine interval": spread[:, 0].tolist(),
        "relative error": error,
        "error interval": spread[:, 1].tolist(),
        "largest z": float(abs(scores).max()),
        "numbers": scores.size,
    }
