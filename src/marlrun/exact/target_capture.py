"""Optimum and random value of target_capture, by dynamic programming on relative positions.

The state is the position of each agent relative to its target. The optimum is that of a central
controller that sees everything: with flicker, or without a common view, it is an upper bound.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import numpy as np

from marlrun.exact.walks import (
    HEADINGS,
    MOVES,
    Array,
    Walk,
    best,
    expect,
    landings,
    refuse_large,
    take,
)


def solve(
    *,
    size: int,
    num_agents: int,
    targets: Literal["one", "each"],
    slip: float,
    motion: Literal["static", "random"] | Sequence[int],
    horizon: int,
    discount: float,
    **ignored: object,
) -> dict[str, float]:
    """Return the discounted "optimum" and "random" value; raise Unsolvable if too large."""
    refuse_large(size**2, len(MOVES), num_agents, horizon)
    agent = _agent_walk(size, slip)
    drift = _drift(size, motion)
    shape = (size**2,) * num_agents
    optimum = random = np.zeros(shape)
    for _ in range(horizon):
        optimum = best(_before_targets(optimum, discount, drift, targets), agent)
        random = best(_before_targets(random, discount, drift, targets), agent.at_random())
    return {"optimum": float(optimum.mean()), "random": float(random.mean())}


def _agent_walk(size: int, slip: float) -> Walk:
    """Return how an agent moves: it slips to each side of its heading with probability `slip`."""
    chances = np.eye(5)
    for heading in range(4):
        chances[heading, heading] = 1 - 2 * slip
        chances[heading, [(heading + 1) % 4, (heading - 1) % 4]] = slip
    return Walk(landings(size, MOVES, walls=False), chances)


def _drift(size: int, motion: str | Sequence[int]) -> Walk:
    """Return how the move of a target changes the position of an agent relative to it."""
    moves_by_name = {"static": [(0, 0)], "random": HEADINGS}
    moves = moves_by_name[motion] if isinstance(motion, str) else [motion]
    cells = landings(size, [(-dx % size, -dy % size) for dx, dy in moves], walls=False)
    return Walk(cells, np.full((1, len(moves)), 1 / len(moves)))


def _before_targets(values: Array, discount: float, drift: Walk, targets: str) -> Array:
    """Return the values of relative positions before targets and agents move.

    `values` are those after the step, if the targets are not captured.
    """
    worth = discount * values
    worth.flat[0] = 1.0  # all on target: the episode is over
    axes = range(worth.ndim)
    if targets == "each":
        return reduce(lambda v, axis: expect(v, drift, axis)[0], axes, worth)
    moved = [reduce(lambda v, axis: take(v, cells, axis), axes, worth) for cells in drift.cells]
    return np.mean(moved, axis=0)
