"""Reads one metric from metrics.jsonl, as numbers."""

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np

from marlrun.config.unit import Unit
from marlrun.report.data.arrays import Floats
from marlrun.report.data.notes import Notes
from marlrun.system.reading import read_bytes

Object = dict[str, Any]
SECONDS = "perf/seconds"
LARGEST = 2.0**53
"""Whole numbers up to here are exact as floating-point numbers."""
LEAST_VALUE, MOST_VALUE = 1e-100, 1e100
"""Numbers nearer to zero count as zero and larger ones as NaN, so that no sum overflows."""
MOST_BYTES = 1 << 36
"""Larger files are not read; the memory of most machines ends before."""


def rows(
    path: Path, metric: str, notes: Notes, unit: Unit = "env_steps"
) -> tuple[Floats, set[str]]:
    """Return an array [points, (seed, step, value, seconds)], and the tags of the last line.

    Steps are counts of `unit`.

    NaN stands for null, for numbers beyond MOST_VALUE and for what is no number. A damaged line is
    left out, with a note.
    """
    try:
        lines = read_bytes(path, MOST_BYTES).splitlines()
    except (OSError, ValueError) as error:
        subject = f"{path} ({error.strerror})" if isinstance(error, OSError) else str(error)
        notes.add("Runs whose curves could not be read", subject)
        return np.empty((0, 4)), set()
    keys = ("seed", unit, metric, SECONDS)
    quoted_metric = _quoted(metric)
    last_row = _object(lines[-1]) if lines else {}
    metric_lines = [line for line in lines if quoted_metric in line]
    columns = _search(metric_lines, keys) if last_row else None
    if columns is None:
        objects = _objects(path, lines, quoted_metric, unit, notes)
        columns = [_column([row.get(key) for row in objects if metric in row]) for key in keys]
    table = np.stack(columns, axis=1)
    table[np.abs(table) > MOST_VALUE] = np.nan
    table[np.abs(table) < LEAST_VALUE] = 0
    counts = table[:, :2]
    is_sound = ((counts >= 0) & (counts <= LARGEST) & (counts % 1 == 0)).all(1)
    if not is_sound.all():
        subject = f"{path} (seed or {unit} of {(~is_sound).sum()} lines are no counts)"
        notes.add("Metrics files with a line left out", subject)
    return table[is_sound], set(last_row or {})


def number(value: Any) -> float:
    """Return a JSON value as a number; NaN if it is no number, or one beyond MOST_VALUE."""
    if not isinstance(value, int | float) or not abs(value) <= MOST_VALUE:
        return float("nan")
    return float(value) if abs(value) >= LEAST_VALUE else 0.0


def _quoted(key: str) -> bytes:
    return json.dumps(key).encode()


def _search(lines: list[bytes], keys: tuple[str, ...]) -> list[Floats] | None:
    """Return a column a key, or None unless every line surely is an object as marlrun writes it.

    To search for a few keys takes a third of the time that parsing whole lines takes.
    """
    if not all(line.endswith(b"}") for line in lines):
        return None
    text = b"\n".join(lines)
    # A number is short; one long text would widen the whole array.
    value = rb": ([^,}\n]{1,40})(?=[,}])"
    matches = [re.findall(re.escape(_quoted(key)) + value, text) for key in keys]
    if not matches[-1]:
        matches[-1] = [b"nan"] * len(lines)
    if any(len(values) != len(lines) for values in matches):
        return None
    try:
        return [np.array(values).astype(np.float64) for values in matches]
    except ValueError:
        return None


def _objects(
    path: Path, lines: list[bytes], quoted_metric: bytes, unit: Unit, notes: Notes
) -> list[Object]:
    """Parse the lines that hold the metric, and the last one; note those that are damaged."""
    objects: list[Object] = []
    for i, line in enumerate(lines, 1):
        if quoted_metric not in line and i < len(lines):
            continue
        row = _object(line)
        if row is None or not {"seed", unit} <= row.keys():
            problem = "the last line is cut off" if i == len(lines) else f"line {i} is damaged"
            notes.add("Metrics files with a line left out", f"{path} ({problem})")
        else:
            objects.append(row)
    return objects


def _object(line: bytes) -> Object | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(Object, row) if isinstance(row, dict) else None


def _column(values: list[Any]) -> Floats:
    return np.array([number(value) for value in values], dtype=np.float64)
