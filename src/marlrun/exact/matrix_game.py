"""Optimum, random value and equilibrium of matrix_game, whose rounds are independent."""

from collections.abc import Sequence
from typing import Any

from marlrun.envs.common import payoffs
from marlrun.exact.lsbre import joint_law
from marlrun.exact.walks import Unsolvable


def solve(
    *, game: str, payoff: Sequence[Any] | None, horizon: int, discount: float, **ignored: object
) -> dict[str, float]:
    """Return the "optimum" (best joint action every round) and "random" mean payoff."""
    mean = payoffs.read(game, payoff).mean(0)
    weight = sum(discount**t for t in range(horizon))
    return {"optimum": float(mean.max()) * weight, "random": float(mean.mean()) * weight}


def details(*, game: str, payoff: Sequence[Any] | None, **ignored: object) -> dict[str, Any]:
    """Return "lsbre": the law of a round's joint actions, nested lists [A_0, .., A_{N-1}], or None.

    None where there are more than 1,000 joint actions, or payoffs too far apart.
    """
    try:
        return {"lsbre": joint_law(payoffs.read(game, payoff)).tolist()}
    except Unsolvable:
        return {"lsbre": None}
