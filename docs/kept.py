"""Runs that docs/results keeps, and their numbers as cells of a Markdown table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def during(name: str, tag: str) -> dict[int, list[float]]:
    """Return the values of a tag, seed by seed, by the environment step of each evaluation."""
    points: dict[int, list[float]] = {}
    for line in (RESULTS / name / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if tag in row:
            points.setdefault(row["env_steps"], []).append(row[tag])
    return points


def cell(values: Sequence[float] | None, digits: int = 1) -> str:
    """Return the mean of all seeds with its 95 % interval; a dash where there are no values."""
    if values is None:
        return "-"
    mean = estimate(values)
    numbers = (f"{x:.{digits}f}" for x in (mean.mean, mean.low or 0.0, mean.high or 0.0))
    return "{} [{}, {}]".format(*numbers)


def with_worst(values: Sequence[float] | None, digits: int = 1) -> str:
    """Return `cell` and the worst, that is the lowest, seed."""
    return "-" if values is None else f"{cell(values, digits)}, {min(values):.{digits}f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table; the first line is its head."""
    head, *rows = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
