"""Backward induction for agents that move on the same cells independently of each other.

A value array has one axis of cells per agent. Given the joint action the agents' moves are
independent, so an expectation is a chain of products with one small kernel per axis; the matrix of
joint transitions is never built.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_STATES = 4_000_000
"""How many joint states a solution may have."""

MAX_SWEEPS = 3_000_000_000
"""How large joint states x joint actions x steps may be; this takes about half a minute."""

MIN_SWEEP = 300_000
"""A step with fewer pairs of joint state and joint action is not faster."""

HEADINGS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""North, east, south, west as (dx, dy)."""

MOVES = (*HEADINGS, (0, 0))


class Unsolvable(Exception):
    """The game has no exact solution here; the message says why in one sentence."""


class Walk(NamedTuple):
    """How one agent moves: action a makes move k with probability chances[a, k]."""

    cells: NDArray[np.intp]
    """[moves, cells]: where each move leads."""
    chances: Array
    """[actions, moves]."""

    def at_random(self) -> "Walk":
        """Return the walk of an agent that takes every action with the same probability."""
        return Walk(self.cells, self.chances.mean(0, keepdims=True))


def refuse_large(num_cells: int, num_actions: int, num_agents: int, horizon: int) -> None:
    """Raise Unsolvable if backward induction over joint states and actions would be too long."""
    states, actions = num_cells**num_agents, num_actions**num_agents
    sweep = max(states * actions, MIN_SWEEP)
    if states > MAX_STATES or sweep * horizon > MAX_SWEEPS:
        raise Unsolvable(
            f"too large to solve exactly: {states:,} joint states x {actions:,} joint actions x "
            f"{horizon:,} steps; at most {MAX_STATES:,} states, {MAX_SWEEPS:,} in all, and "
            f"{MAX_SWEEPS // MIN_SWEEP:,} steps"
        )


def take(values: Array, cells: NDArray[np.intp], axis: int) -> Array:
    """Return `values` after the agent on `axis` goes from each cell c to cells[c]."""
    return values.take(cells, axis)


def expect(values: Array, walk: Walk, axis: int) -> Array:
    """Return [actions, *values.shape]: `values` expected after the agent on `axis` moves."""
    moved = np.stack([take(values, cells, axis) for cells in walk.cells])
    return (walk.chances @ moved.reshape(len(moved), -1)).reshape(-1, *values.shape)


def best(values: Array, walk: Walk, choosing: int | None = None) -> Array:
    """Return `values` expected after the joint action that is best in each joint state.

    Only the first `choosing` agents move; None = all.
    """
    axis = (values.ndim if choosing is None else choosing) - 1
    if axis < 0:
        return values
    return reduce(np.maximum, (best(v, walk, axis) for v in expect(values, walk, axis)))


def landings(size: int, moves: Iterable[Sequence[int]], *, walls: bool) -> NDArray[np.intp]:
    """Return [moves, size**2]: where each (dx, dy) leads from each cell y * size + x.

    On a torus, or on a grid whose walls keep the agent in place.
    """
    y, x = np.divmod(np.arange(size**2), size)
    dx, dy = np.array(list(moves)).T[..., None]
    x, y = x + dx, y + dy
    if walls:
        x, y = x.clip(0, size - 1), y.clip(0, size - 1)
    return y % size * size + x % size
