"""The lines of metrics.jsonl that hold one metric, as numbers."""

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np

from marlrun.report.data.arrays import Floats
from marlrun.report.data.notes import Notes
from marlrun.system.reading import read_bytes

Object = dict[str, Any]
SECONDS = "perf/seconds"
LARGEST = 2.0**53
"""Counts up to here are whole as floating-point numbers."""
LEAST_VALUE, MOST_VALUE = 1e-100, 1e100
"""Numbers nearer to zero count as zero and larger ones as NaN, so that no sum overflows."""
MOST_BYTES = 1 << 36
"""Bytes of a metrics file that are still read: the memory is what ends first."""


def rows(path: Path, metric: str, notes: Notes) -> tuple[Floats, set[str]]:
    """Return [points, (seed, step, value, seconds)] and some of the tags there are.

    NaN stands for null, for more than MOST_VALUE and for what is no number. A damaged line is noted,
    not read.
    """
    try:
        lines = read_bytes(path, MOST_BYTES).splitlines()
    except (OSError, ValueError) as error:
        about = f"{path} ({error.strerror})" if isinstance(error, OSError) else str(error)
        notes.add("Runs whose curves could not be read", about)
        return np.empty((0, 4)), set()
    keys = ("seed", "env_steps", metric, SECONDS)
    wanted = _quoted(metric)
    last = _object(lines[-1]) if lines else {}
    some = [line for line in lines if wanted in line]
    columns = _matched(some, keys) if last else None
    if columns is None:
        objects = _objects(path, lines, wanted, notes)
        columns = [_column([one.get(key) for one in objects if metric in one]) for key in keys]
    table = np.stack(columns, axis=1)
    table[np.abs(table) > MOST_VALUE] = np.nan
    table[np.abs(table) < LEAST_VALUE] = 0
    places = table[:, :2]
    is_sound = ((places >= 0) & (places <= LARGEST) & (places % 1 == 0)).all(1)
    if not is_sound.all():
        about = f"{path} (seed or env_steps of {(~is_sound).sum()} lines are no counts)"
        notes.add("Metrics files with a line left out", about)
    return table[is_sound], set(last or {})


def number(value: Any) -> float:
    """Return a JSON value as a number; NaN for null, for what is none and beyond MOST_VALUE."""
    if not isinstance(value, int | float) or not abs(value) <= MOST_VALUE:
        return float("nan")
    return float(value) if abs(value) >= LEAST_VALUE else 0.0


def _quoted(key: str) -> bytes:
    return json.dumps(key).encode()


def _matched(lines: list[bytes], keys: tuple[str, ...]) -> list[Floats] | None:
    """Return the columns if every line is an object as we write them; None if that is not sure.

    A search for the keys takes a third of the time of parsing all that is beside them.
    """
    if not all(line.endswith(b"}") for line in lines):
        return None
    text = b"\n".join(lines)
    # A number is short; one long value would widen the array for all of them.
    value = rb": ([^,}\n]{1,40})(?=[,}])"
    found = [re.findall(re.escape(_quoted(key)) + value, text) for key in keys]
    if not found[-1]:
        found[-1] = [b"nan"] * len(lines)
    if any(len(values) != len(lines) for values in found):
        return None
    try:
        return [np.array(values).astype(np.float64) for values in found]
    except ValueError:
        return None


def _objects(path: Path, lines: list[bytes], wanted: bytes, notes: Notes) -> list[Object]:
    """Parse the lines with the metric, and the last one, by the letter."""
    objects: list[Object] = []
    for i, line in enumerate(lines, 1):
        if wanted not in line and i < len(lines):
            continue
        row = _object(line)
        if row is None or not {"seed", "env_steps"} <= row.keys():
            which = "the last line is cut off" if i == len(lines) else f"line {i} is damaged"
            notes.add("Metrics files with a line left out", f"{path} ({which})")
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
