"""References for results: exact values of a game, and the values that a paper published."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marlrun.config.unit import Unit
from marlrun.report.analysis.groups import Group
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Object, Run, items, mapping, number

RETURN, FRACTION = "eval/return_mean", "eval/return_fraction"
ANTICIPATED = "eval/anticipated_mean"
RETURNS = {"return", "return_mean", "return_fraction"}
"""Last parts of the tags for which higher is better; of other tags nothing is known."""
CLOSE = 1e-3
"""Exact values that differ relatively by less are the same: old runs hold them in float32."""


@dataclass(frozen=True)
class Published:
    """A value that a paper published, for what, and the algorithms of the report that it is for."""

    name: str
    value: float
    algorithms: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A game with its groups, its exact values (`optimum`, `random`, ..) and published values."""

    name: str
    groups: list[Group]
    exact: dict[str, float]
    published: list[Published]

    @property
    def unit(self) -> Unit:
        """Return what its runs count: the unit of its x axis."""
        return self.groups[0].unit

    @property
    def optimum(self) -> float | None:
        """The optimum, if it is known and positive, so that a fraction of it means something."""
        optimum = self.exact.get("optimum", 0)
        return optimum if optimum > 0 else None

    @property
    def scale(self) -> tuple[float, float] | None:
        """The values (random, optimum), if both are known and differ."""
        low, high = self.exact.get("random"), self.exact.get("optimum")
        return (low, high) if low is not None and high is not None and high > low else None

    def paper(self, group: Group) -> float | None:
        """Return the published value for the algorithm of a group."""
        values = [
            published.value
            for published in self.published
            if group.algorithm in published.algorithms
        ]
        return values[0] if values else None


def is_return(metric: str) -> bool:
    """Say whether a higher value of a metric is a better one."""
    return metric.rpartition("/")[2] in RETURNS


def tasks(groups: Sequence[Group], metric: str, notes: Notes) -> list[Task]:
    """Return the groups by task, with exact and published values."""
    members: dict[str, list[Group]] = {}
    for group in groups:
        members.setdefault(group.task, []).append(group)
    return [
        Task(
            name,
            groups_of_task,
            _exact(groups_of_task, metric, notes),
            _published(groups_of_task, metric),
        )
        for name, groups_of_task in members.items()
    ]


def _exact(groups: Sequence[Group], metric: str, notes: Notes) -> dict[str, float]:
    values: dict[str, float] = {}
    for run in (run for group in groups for run in group.runs):
        for name, value in exact_values(run, metric).items():
            if not math.isclose(values.setdefault(name, value), value, rel_tol=CLOSE):
                difference = f"{values[name]:.6g} is used, {run.name} says {value:.6g}"
                subject = f"{groups[0].task} {name} ({difference})"
                notes.add("Exact values on which runs of a task differ", subject)
    return values


def exact_values(run: Run, metric: str) -> dict[str, float]:
    """Return the exact values of the game of a run, on the scale of the metric; {} if unknown."""
    exact = {name: number(value) for name, value in mapping(run.record.get("exact")).items()}
    exact = {name: value for name, value in exact.items() if not math.isnan(value)}
    task, metric = _task_of(metric)
    names = [name for name in exact if name.rpartition("/")[0] == task]
    exact = {name.removeprefix(f"{task}/"): exact[name] for name in names}
    if "exact" not in run.record:
        exact = _implied(mapping(run.record.get("results")))
    if metric == RETURN:
        return exact
    if metric == FRACTION and exact.get("optimum", 0) > 0:
        return {name: value / exact["optimum"] for name, value in exact.items()}
    return {}


def _task_of(metric: str) -> tuple[str, str]:
    """Split `eval/task/NAME/TAG` into `task/NAME` and `eval/TAG`; of another tag the task is ""."""
    parts = metric.split("/")
    if len(parts) != 4 or parts[:2] != ["eval", "task"]:
        return "", metric
    return "/".join(parts[1:3]), f"eval/{parts[3]}"


def _implied(results: Object) -> dict[str, float]:
    """Return the optimum as it follows from the results of a run that did not store it."""
    returns, fractions = ([*map(number, items(results.get(tag)))] for tag in (RETURN, FRACTION))
    pairs = [(abs(f), r / f) for r, f in zip(returns, fractions, strict=False) if abs(f) > CLOSE]
    return {"optimum": max(pairs)[1]} if pairs else {}


def _published(groups: Sequence[Group], metric: str) -> list[Published]:
    """Return the published values for these groups, each once."""
    beside: dict[tuple[str, float], dict[str, None]] = {}
    for group in groups:
        for run in group.runs:
            for row in filter(mapping, items(run.config.get("paper"))):
                if _belongs(row, run) and not math.isnan(number(row.get(metric))):
                    beside.setdefault(_published_as(row, metric), {})[group.algorithm] = None
    return [Published(*key, tuple(algorithms)) for key, algorithms in beside.items()]


def _published_as(row: Object, metric: str) -> tuple[str, float]:
    """Return the name of a published value, without the keys of the game, and the value."""
    keys = [key for key in row if "/" not in key and key != "env" and not key.startswith("env.")]
    parts = [str(row[key]) if key == "algo" else f"{key}={row[key]}" for key in keys]
    return " ".join(parts), number(row[metric])


def _belongs(row: Object, run: Run) -> bool:
    """Say whether a run has the value of every key of the row; tags are no keys."""
    keys = [key for key in row if "/" not in key]
    return all(key in run.settings and run.settings[key] == row[key] for key in keys)
