"""Runs that docs/results keeps, and their numbers as cells of a Markdown table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paired import read

from marlrun.report.data.read import Run
from marlrun.runner.intervals import estimate

RESULTS = Path(__file__).resolve().parent / "results"
Node = dict[str, Any]


def record(name: str) -> Node | None:
    """Return run.json of docs/results/NAME, or None if no such run is kept."""
    path = RESULTS / name / "run.json"
    return json.loads(path.read_text()) if path.exists() else None


def final(name: str, tag: str) -> list[float] | None:
    """Return what the last evaluation of a kept run says of a tag, seed by seed."""
    run = record(name)
    return None if run is None else run["results"].get(tag)


def runs(folder: str) -> list[Run]:
    """Return the runs that are kept below docs/results/FOLDER."""
    top = RESULTS / folder
    return read(top) if any(top.rglob("run.json")) else []


def find(among: Sequence[Run], settings: Node) -> Run | None:
    """Return the run with these settings, such as `algo` and `env.size`; ValueError if many have them."""
    fitting = [
        run for run in among if all(run.settings.get(k) == value for k, value in settings.items())
    ]
    if len(fitting) > 1:
        raise ValueError(f"{[run.name for run in fitting]}: expected one run with {settings}")
    return fitting[0] if fitting else None


def by_seed(run: Run | None, tag: str) -> dict[int, float]:
    """Return what the last evaluation says of a tag, by seed; nothing where there is no such run."""
    if run is None or tag not in run.record["results"]:
        return {}
    return dict(zip(run.record["seeds"], run.record["results"][tag], strict=True))


def values(run: Run | None, tag: str) -> list[float] | None:
    """Return what the last evaluation says of a tag, seed by seed, or None where there is nothing."""
    return list(by_seed(run, tag).values()) or None


def difference_by_seed(run: Run | None, other: Run | None, tag: str) -> list[float] | None:
    """Return run - other, seed by seed, of the seeds that both have; None if they have none."""
    ours, theirs = by_seed(run, tag), by_seed(other, tag)
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs] or None


def during(name: str, tag: str) -> dict[int, list[float]]:
    """Return the values of a tag, seed by seed, by the environment step of each evaluation."""
    points: dict[int, list[float]] = {}
    for line in (RESULTS / name / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if tag in row:
            points.setdefault(row["env_steps"], []).append(row[tag])
    return points


def cell(values: Sequence[float] | None, digits: int = 1) -> str:
    """Return the mean of all seeds with its 95 % interval, which one seed alone does not have.

    It is a dash where there are no values.
    """
    if values is None:
        return "-"
    mean, low, high, _ = estimate(values)
    numbers = [f"{x:.{digits}f}" for x in (mean, low, high) if x is not None]
    return numbers[0] if len(numbers) == 1 else "{} [{}, {}]".format(*numbers)


def with_worst(values: Sequence[float] | None, digits: int = 1) -> str:
    """Return `cell` and the worst, that is the lowest, seed."""
    return "-" if values is None else f"{cell(values, digits)}, {min(values):.{digits}f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table; the first line is its head."""
    head, *rows = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
