"""Exact optima and other values of games, by dynamic programming and linear algebra.

The class `PACKAGE.envs.NAME.Class` is solved by the function `PACKAGE.exact.NAME.solve`, which takes
the keys of the environment's YAML. PACKAGE is marlrun, or one that the command line allows.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from statistics import fmean
from typing import Any, cast

from marlrun.config.tasks import tasks_of
from marlrun.exact.walks import Unsolvable
from marlrun.system.errors import with_type

__all__ = ["Unsolvable", "details", "solve", "why_not"]


def solve(env: Mapping[str, Any], plugins: Sequence[str] = ()) -> dict[str, float] | None:
    """Return exact values of the game that `env` configures; None if it cannot be solved.

    Values are means over agents: expected returns of an episode, under the discount and horizon of
    the environment, or rewards per step of a task that continues. "optimum" is that of agents that
    see everything and act as one, "random" that of uniform actions; the module of the game may name
    more. A solution may take half a minute. `plugins` are the packages that the command line
    allows; nothing else is imported. ValueError, in one line, if a solver breaks these rules.

    Of several tasks, `task/NAME/optimum` is the value of one, and `optimum` the mean over tasks, which
    is missing where some cannot be solved.
    """
    if tasks := tasks_of(env):
        return _values_of_tasks({name: solve(game, plugins) for name, game in tasks.items()})
    try:
        return _solve(env, plugins)
    except Unsolvable:
        return None


def _values_of_tasks(
    values_by_task: Mapping[str, Mapping[str, float] | None],
) -> dict[str, float] | None:
    """Return the exact values of several tasks; None if none of them can be solved."""
    solved = {name: values for name, values in values_by_task.items() if values is not None}
    if not solved:
        return None
    first, *others = solved.values()
    shared = [value for value in first if all(value in values for values in others)]
    is_whole = len(solved) == len(values_by_task)
    means = {value: fmean(values[value] for values in solved.values()) for value in shared}
    return (means if is_whole else {}) | _by_task(solved)


def _by_task(values_by_task: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"task/{task}/{name}": value
        for task, values in values_by_task.items()
        for name, value in values.items()
    }


def details(env: Mapping[str, Any], plugins: Sequence[str] = ()) -> dict[str, Any]:
    """Return what else can be told of a game that `solve` solves: names and values for JSON.

    The module that solves the game tells it, if it has a function `details`, which takes the same
    keys. Where there is no such module there is nothing to tell.
    """
    if tasks := tasks_of(env):
        return _by_task({name: details(game, plugins) for name, game in tasks.items()})
    try:
        solver = _solver(env["_target_"], plugins)
    except Unsolvable:
        return {}
    tell = getattr(importlib.import_module(solver.__module__), "details", None)
    return {} if tell is None else tell(**{key: env[key] for key in env if key != "_target_"})


def why_not(env: Mapping[str, Any], plugins: Sequence[str] = ()) -> str | None:
    """Return the sentence that says why a game, or some of its tasks, cannot be solved; None if all can."""
    if tasks := tasks_of(env):
        reasons = {name: why_not(game, plugins) for name, game in tasks.items()}
        texts = [f"task {name}: {reason}" for name, reason in reasons.items() if reason]
        return "; ".join(texts) or None
    try:
        _solve(env, plugins)
    except Unsolvable as reason:
        return str(reason)
    return None


def _solve(env: Mapping[str, Any], plugins: Sequence[str]) -> dict[str, float]:
    solver = _solver(env["_target_"], plugins)
    keys = {key: value for key, value in env.items() if key != "_target_"}
    try:
        inspect.signature(solver).bind(**keys)
    except TypeError as error:
        raise ValueError(f"{solver.__module__}.solve must take the keys of env: {error}") from error
    try:
        values = solver(**keys)
    except (Unsolvable, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"{solver.__module__}.solve: {with_type(error)}") from error
    _check(values, solver.__module__)
    if not all(map(isfinite, values.values())):
        raise Unsolvable("double precision cannot hold its values")
    return values


def _solver(target: str, plugins: Sequence[str]) -> Callable[..., dict[str, float]]:
    """Return the function that solves games of the class `target`; Unsolvable if there is none."""
    package, _, path = target.rpartition(".envs.")
    module_name = f"{package}.exact.{path.rpartition('.')[0]}"
    unsolvable = Unsolvable(
        f"there is no exact solution for {target}: PACKAGE.envs.NAME.Class is solved by "
        "PACKAGE.exact.NAME.solve, where PACKAGE is marlrun or in plugins=[..] of the command line"
    )
    is_allowed = any(module_name.startswith(f"{home}.") for home in ("marlrun.exact", *plugins))
    if not is_allowed or not all(map(str.isidentifier, module_name.split("."))):
        raise unsolvable
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise unsolvable from error
        reason = f"cannot be imported: {with_type(error)}"
        raise ValueError(f"{module_name} {reason}") from error
    function: Any = vars(module).get("solve")
    if not inspect.isfunction(function) or function.__module__ != module_name:
        raise unsolvable
    return function


def _check(values: object, module_name: str) -> None:
    """Raise ValueError unless `values` are numbers by name, "optimum" and "random" among them."""
    named = cast("dict[object, object]", values) if isinstance(values, dict) else {}
    are_numbers = all(
        isinstance(name, str) and isinstance(value, float | int) for name, value in named.items()
    )
    if not are_numbers or not named.keys() >= {"optimum", "random"}:
        raise ValueError(
            f"{module_name}.solve returned {values!r}, "
            'expected {"optimum": number, "random": number, ..}'
        )
