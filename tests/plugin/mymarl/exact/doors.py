"""Optimum and random value of doors, by backward induction over one agent's cell.

The agents do not hinder each other, so each is solved alone; values are means over agents.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""One value for each cell."""


def solve(
    *,
    length: int,
    near: float,
    far: float,
    slip: float,
    horizon: int,
    discount: float,
    **ignored: object,
) -> dict[str, float]:
    """Return the "optimum" and "random" return."""
    best, drawn = np.zeros((2, length)), np.zeros((2, length))
    for _ in range(horizon):
        best = _improved(best, near, far, slip, discount, np.max)
        drawn = _improved(drawn, near, far, slip, discount, np.mean)
    return {"optimum": float(best[:, 0].mean()), "random": float(drawn[:, 0].mean())}


def _improved(
    values: Values,
    near: float,
    far: float,
    slip: float,
    discount: float,
    choose: Callable[[list[float]], float],
) -> Values:
    """Return the values [agents, cells] of one step more; those of the last cell are not used."""
    worth = discount * values
    worth[:, -1] = far
    result = np.zeros_like(values)
    for agent in range(2):
        for cell in range(values.shape[1] - 1):
            on = (1 - slip) * worth[agent, cell + 1] + slip * worth[agent, cell]
            allowed = [on] if cell == 0 else [on, worth[agent, cell - 1]]
            allowed += [near] if cell == 0 and agent == 0 else []
            result[agent, cell] = choose(allowed)
    return result
