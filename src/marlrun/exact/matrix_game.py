"""Optimum and random value of matrix_game, whose rounds are independent."""

from collections.abc import Sequence
from typing import Any

from marlrun.envs.common import payoffs


def solve(
    *, game: str, payoff: Sequence[Any] | None, horizon: int, discount: float, **ignored: object
) -> dict[str, float]:
    """Return the "optimum" (best joint action every round) and "random" mean payoff."""
    mean = payoffs.read(game, payoff).mean(0)
    weight = sum(discount**t for t in range(horizon))
    return {"optimum": float(mean.max()) * weight, "random": float(mean.mean()) * weight}
