"""Optima and reference values by dynamic programming: the truth to measure against."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from marlrun.exact import matrix_game, meeting_grid, networked_mdp, public_goods, target_capture
from marlrun.exact.walks import Unsolvable

__all__ = ["solve", "why_not"]

_SOLVERS: dict[str, Callable[..., dict[str, float]]] = {
    "marlrun.envs.matrix_game.MatrixGame": matrix_game.solve,
    "marlrun.envs.meeting_grid.MeetingGrid": meeting_grid.solve,
    "marlrun.envs.networked_mdp.NetworkedMDP": networked_mdp.solve,
    "marlrun.envs.public_goods.PublicGoods": public_goods.solve,
    "marlrun.envs.target_capture.TargetCapture": target_capture.solve,
}


def solve(env: Mapping[str, Any]) -> dict[str, float] | None:
    """Return exact values of the game an environment's config describes; None if it can't be.

    Values are expected returns of one episode under the environment's own discount and horizon, or
    rewards per step of a task that continues, mean over agents: "optimum" (agents that see
    everything and act as one), "random" (uniform actions), and what else the game's own module
    names. It takes up to half a minute: ask once.
    """
    try:
        return _solve(env)
    except Unsolvable:
        return None


def why_not(env: Mapping[str, Any]) -> str:
    """Say in one sentence why `solve` returns None."""
    try:
        _solve(env)
    except Unsolvable as reason:
        return str(reason)
    raise AssertionError("this game can be solved")


def _solve(env: Mapping[str, Any]) -> dict[str, float]:
    target = env["_target_"]
    if target not in _SOLVERS:
        raise Unsolvable(f"there is no exact solution for {target}")
    values = _SOLVERS[target](**{key: value for key, value in env.items() if key != "_target_"})
    if not all(map(isfinite, values.values())):
        raise Unsolvable("double precision cannot hold its values")
    return values
