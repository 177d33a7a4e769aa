"""Best and random mean payoff of a game of independent rounds."""

from collections.abc import Sequence
from typing import Any

from marlrun.envs.common.payoffs import read


def solve(
    *, game: str, payoff: Sequence[Any] | None, horizon: int, discount: float, **ignored: object
) -> dict[str, float]:
    """Return the "optimum" (best joint action every round) and "random" mean payoff."""
    mean = read(game, payoff).mean(0)
    weight = sum(discount**t for t in range(horizon))
    return {"optimum": float(mean.max()) * weight, "random": float(mean.mean()) * weight}
