"""Optimum, random value and a decentralised reference of meeting_grid.

The optimum is that of a central controller that sees everything. "best_reply" is what local
policies (own position, time) -> action reach that are best replies to each other: agents move
independently of each other (a transition-independent Dec-MDP, Becker et al. 2004), so against
fixed others an agent faces a small Markov decision process of its own. It is the best of many
starts, hence a lower bound on the best policy that sees own position and time, and the same
yardstick, not a bound, for agents that see less (observation=walls) or keep a memory.
"""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.walks import (
    MOVES,
    Array,
    Unsolvable,
    Walk,
    best,
    expect,
    landings,
    refuse_large,
)

Plans = NDArray[np.intp]
"""[starts, steps, cells]: what one agent does at each time in each cell, in many solutions."""

NUM_RANDOM_STARTS = 128
MAX_CELL_STARTS = 128
MAX_ROUNDS = 200

MAX_NUMBERS = 30_000_000
"""Numbers that the plans of one agent may hold, in all solutions."""


def solve(
    *,
    size: int,
    num_agents: int,
    success: float,
    horizon: int,
    discount: float,
    **ignored: object,
) -> dict[str, float]:
    """Return the "optimum", "random" and "best_reply" value; raise Unsolvable if too large."""
    refuse_large(size**2, len(MOVES), num_agents, horizon)
    _refuse_large_plans(size**2, horizon)
    walk = _walk(size, success)
    starts = _starts(size, num_agents)
    optimum = random = np.zeros((size**2,) * num_agents)
    for _ in range(horizon):
        optimum = best(_before_moves(optimum, discount), walk)
        random = best(_before_moves(random, discount), walk.anyhow())
    return {
        "optimum": float(optimum[starts]),
        "random": float(random[starts]),
        "best_reply": best_reply(walk, starts, horizon, discount),
    }


def _refuse_large_plans(num_cells: int, horizon: int) -> None:
    starts = min(num_cells, MAX_CELL_STARTS) + NUM_RANDOM_STARTS
    if starts * horizon * num_cells > MAX_NUMBERS:
        raise Unsolvable(
            f"too large to solve exactly: plans from {starts:,} starts x {horizon:,} steps x "
            f"{num_cells:,} cells; at most {MAX_NUMBERS:,} numbers in all"
        )


def _walk(size: int, success: float) -> Walk:
    """Five moves; what does not succeed is one of the other four; staying always succeeds."""
    chances = np.full((5, 5), (1 - success) / 4)
    np.fill_diagonal(chances, success)
    chances[4] = np.eye(5)[4]
    return Walk(landings(size, MOVES, walls=True), chances)


def _starts(size: int, num_agents: int) -> tuple[int, ...]:
    """Opposite corners first, then the other two, then the same again."""
    corners = (0, size**2 - 1, size - 1, size**2 - size)
    return tuple(corners[agent % 4] for agent in range(num_agents))


def _before_moves(values: Array, discount: float) -> Array:
    """Return what joint positions are worth on arrival, if `values` is what they promise."""
    worth = discount * values
    worth[(np.arange(len(worth)),) * worth.ndim] += 1
    return worth


def best_reply(walk: Walk, starts: tuple[int, ...], horizon: int, discount: float) -> float:
    """Return the value of the best equilibrium found by alternating best replies.

    Agents begin with a common hope for where the others are: one cell, or at random.
    """
    hopes = _hopes(walk.cells.shape[1], horizon)
    plans = _reply(hopes, walk, discount)[0]
    presences = [_presence(plans, walk, start) for start in starts]
    value = np.zeros(len(hopes))
    for _ in range(MAX_ROUNDS):
        previous = value
        for agent, start in enumerate(starts):
            others = reduce(np.multiply, presences[:agent] + presences[agent + 1 :])
            plans, values = _reply(others, walk, discount)
            presences[agent], value = _presence(plans, walk, start), values[:, start]
        if np.all(value <= previous + 1e-12):
            break
    return float(value.max())


def _hopes(num_cells: int, horizon: int) -> Array:
    """Return [starts, steps, cells]: assumed chances that all others are there at that time."""
    cells = np.linspace(0, num_cells - 1, min(num_cells, MAX_CELL_STARTS)).astype(int)
    certain = np.repeat(np.eye(num_cells)[cells, None], horizon, axis=1)
    vague = np.random.default_rng(0).random((NUM_RANDOM_STARTS, horizon, num_cells)) ** 4
    return np.concatenate([certain, vague])


def _reply(others: Array, walk: Walk, discount: float) -> tuple[Plans, Array]:
    """Return one agent's best plans, and their values [starts, cells], where others meet there.

    `others` [starts, steps, cells] is the chance that all others are in a cell after a step.
    """
    plans = np.empty(others.shape, dtype=np.intp)
    values = np.zeros_like(others[:, 0])
    for t in reversed(range(others.shape[1])):
        choices = expect(others[:, t] + discount * values, walk, axis=1)
        plans[:, t], values = choices.argmax(0), choices.max(0)
    return plans, values


def _presence(plans: Plans, walk: Walk, start: int) -> Array:
    """Return [starts, steps, cells]: the chance that an agent is in a cell after each step."""
    here = np.zeros_like(plans[:, 0], dtype=np.float64)
    targets = np.arange(here.size).reshape(here.shape)[:, walk.cells.T].ravel()
    here[:, start] = 1
    presence = np.empty(plans.shape)
    for t in range(plans.shape[1]):
        flow = here[..., None] * walk.chances[plans[:, t]]
        here = np.bincount(targets, flow.ravel(), minlength=here.size).reshape(here.shape)
        presence[:, t] = here
    return presence
