"""Optimum and random value of the corridor, by backward induction over all agents' cells."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from marlrun.exact import Unsolvable

MAX_STATES = 100_000

Values = NDArray[np.float64]
"""One axis of cells per agent."""


def solve(
    *,
    num_agents: int,
    length: int,
    slip: float,
    horizon: int,
    discount: float,
    **ignored: object,
) -> dict[str, float]:
    """Return the "optimum" and "random" return; raise Unsolvable if the game is too large."""
    if length**num_agents > MAX_STATES:
        raise Unsolvable(f"too large: {length}**{num_agents} joint states, at most {MAX_STATES:,}")
    moves = [_moves(length, step, slip) for step in (-1, 1)]
    joint_actions = list(product(moves, repeat=num_agents))
    optimum = random = np.zeros((length,) * num_agents)
    for _ in range(horizon):
        best, drawn = _worth(optimum, discount), _worth(random, discount)
        optimum = np.max([_expected(best, action) for action in joint_actions], axis=0)
        random = np.mean([_expected(drawn, action) for action in joint_actions], axis=0)
    return {"optimum": float(optimum.flat[0]), "random": float(random.flat[0])}


def _moves(length: int, step: int, slip: float) -> Values:
    """Return P(next cell | cell) of one agent, [cells, cells]."""
    chances = np.eye(length) * slip
    cells = np.arange(length)
    chances[cells, (cells + step).clip(0, length - 1)] += 1 - slip
    return chances


def _worth(values: Values, discount: float) -> Values:
    """Return what arriving in each joint state is worth: 1 and the end where all are in the last."""
    worth = discount * values
    worth.flat[-1] = 1.0
    return worth


def _expected(worth: Values, action: tuple[Values, ...]) -> Values:
    for agent, chances in enumerate(action):
        worth = np.moveaxis(np.tensordot(chances, worth, (1, agent)), 0, agent)
    return worth
