"""Optimum, random value and a decentralised reference of meeting_grid.

The optimum is that of a central controller that sees everything. "best_reply" is what local
policies (position of the agent, time) -> action reach that are best replies to each other. Agents
move independently of each other (a transition-independent Dec-MDP, Becker et al. 2004), so an agent
faces a small Markov decision process while the others keep their policies. The value is the best of
many starts, hence a lower bound on the best policy of this kind. For agents that see less
(observation=walls) or have a memory it is no bound, but still a number to compare with.
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
"""[starts, steps, cells]: the action of an agent at each time in each cell, in many solutions."""

NUM_RANDOM_STARTS = 128
MAX_CELL_STARTS = 128
MAX_ROUNDS = 200

MAX_NUMBERS = 30_000_000
"""How many numbers the plans of one agent may hold, in all solutions together."""


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
        random = best(_before_moves(random, discount), walk.at_random())
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
    """Return how an agent moves; a move that fails is one of the other four, staying never fails."""
    chances = np.full((5, 5), (1 - success) / 4)
    np.fill_diagonal(chances, success)
    chances[4] = np.eye(5)[4]
    return Walk(landings(size, MOVES, walls=True), chances)


def _starts(size: int, num_agents: int) -> tuple[int, ...]:
    """Return the cells where agents start: opposite corners, the other two, and so on again."""
    corners = (0, size**2 - 1, size - 1, size**2 - size)
    return tuple(corners[agent % 4] for agent in range(num_agents))


def _before_moves(values: Array, discount: float) -> Array:
    """Return the values of joint positions on arrival, `values` being those of the next step."""
    worth = discount * values
    worth[(np.arange(len(worth)),) * worth.ndim] += 1
    return worth


def best_reply(walk: Walk, starts: tuple[int, ...], horizon: int, discount: float) -> float:
    """Return the value of the best equilibrium found by alternating best replies.

    Agents begin with a common belief about where the others are: in one cell, or at random.
    """
    beliefs = _beliefs(walk.cells.shape[1], horizon)
    plans = _reply(beliefs, walk, discount)[0]
    presences = [_presence(plans, walk, start) for start in starts]
    value = np.zeros(len(beliefs))
    for _ in range(MAX_ROUNDS):
        previous = value
        for agent, start in enumerate(starts):
            others_presence = reduce(np.multiply, presences[:agent] + presences[agent + 1 :])
            plans, values = _reply(others_presence, walk, discount)
            presences[agent], value = _presence(plans, walk, start), values[:, start]
        if np.all(value <= previous + 1e-12):
            break
    return float(value.max())


def _beliefs(num_cells: int, horizon: int) -> Array:
    """Return [starts, steps, cells]: the supposed chance that all others are in a cell then."""
    cells = np.linspace(0, num_cells - 1, min(num_cells, MAX_CELL_STARTS)).astype(int)
    certain = np.repeat(np.eye(num_cells)[cells, None], horizon, axis=1)
    random = np.random.default_rng(0).random((NUM_RANDOM_STARTS, horizon, num_cells)) ** 4
    return np.concatenate([certain, random])


def _reply(others_presence: Array, walk: Walk, discount: float) -> tuple[Plans, Array]:
    """Return the best plans of an agent, and their values [starts, cells].

    `others_presence` [starts, steps, cells] is the chance that all others are in a cell then.
    """
    plans = np.empty(others_presence.shape, dtype=np.intp)
    values = np.zeros_like(others_presence[:, 0])
    for t in reversed(range(others_presence.shape[1])):
        choices = expect(others_presence[:, t] + discount * values, walk, axis=1)
        plans[:, t], values = choices.argmax(0), choices.max(0)
    return plans, values


def _presence(plans: Plans, walk: Walk, start: int) -> Array:
    """Return [starts, steps, cells]: the chance that an agent is in a cell after each step."""
    now = np.zeros_like(plans[:, 0], dtype=np.float64)
    targets = np.arange(now.size).reshape(now.shape)[:, walk.cells.T].ravel()
    now[:, start] = 1
    presence = np.empty(plans.shape)
    for t in range(plans.shape[1]):
        flow = now[..., None] * walk.chances[plans[:, t]]
        now = np.bincount(targets, flow.ravel(), minlength=now.size).reshape(now.shape)
        presence[:, t] = now
    return presence
