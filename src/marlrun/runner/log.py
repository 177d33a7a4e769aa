"""The log of a run: metrics.jsonl, and the same numbers for TensorBoard."""

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, cast

from marlrun.config.unit import Unit
from marlrun.runner.console import HEADLINE
from marlrun.runner.tensorboard import Board, Scalar, bands, board_directory
from marlrun.system.output import say
from marlrun.system.reading import opened
from marlrun.system.writing import appending
from marlrun.types import Seeds

Row = Mapping[str, Sequence[float | None]]
"""Tag -> one number per seed; None where a seed has nothing to say."""


class Log:
    """Writes rows; after a resume everything that came after its checkpoint is taken back."""

    def __init__(
        self, directory: Path, seeds: Seeds, end: int, count: int, unit: Unit = "env_steps"
    ):
        """Check the log as it was when it had `end` bytes, and change nothing yet.

        `count` is that of its last row, or later, in `unit`. ValueError, naming file and line, if the
        log is shorter now or holds what is none of its rows.
        """
        self._directory, self._seeds = directory, seeds
        self._path, self._end = directory / "metrics.jsonl", end
        self._count = count
        self._unit: Unit = unit
        for _ in self._rows():
            pass
        self.boards: list[Board] = []
        self._mean: Board | None = None

    def open(self) -> None:
        """Take back what came after the checkpoint, and be ready to write."""
        with appending(self._path) as file:
            file.truncate(self._end)
        if self._end == 0:
            shutil.rmtree(self._directory / "tb", ignore_errors=True)
        self._open_boards()
        if self._end > 0:
            self._take_back()

    def _open_boards(self) -> None:
        self.boards = [Board(board_directory(self._directory, seed)) for seed in self._seeds]
        if len(self._seeds) > 1:
            self._mean = Board(self._directory / "tb" / "mean")

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Yield the lines that the checkpoint knows, parsed; ValueError for a line that is no row."""
        if self._end == 0:
            return
        read = 0
        with suppress(FileNotFoundError), opened(self._path) as file:
            for number, line in enumerate(file, start=1):
                read += len(line)
                seed = self._seeds[(number - 1) % len(self._seeds)]
                if read > self._end or not (row := _parsed(line, seed, self._unit)):
                    raise ValueError(f"{self._path}: line {number} is damaged; {_WAY_OUT}")
                yield row
                if read == self._end:
                    return
        raise ValueError(
            f"{self._path} is shorter than its checkpoint says: {self._end} bytes; {_WAY_OUT}"
        )

    def write(self, count: int, row: Row) -> None:
        """Append one line per seed, and the same to TensorBoard's directories."""
        numbers_by_seed = [
            {tag: number for tag, values in row.items() if (number := values[index]) is not None}
            for index in range(len(self._seeds))
        ]
        self._show(count, numbers_by_seed)
        lines = [
            json.dumps({self._unit: count, "seed": seed, **numbers}) + "\n"
            for seed, numbers in zip(self._seeds, numbers_by_seed, strict=True)
        ]
        with appending(self._path) as file:
            file.write("".join(lines).encode())

    def _show(self, count: int, numbers_by_seed: Sequence[Mapping[str, float]]) -> None:
        """Show what is known of each seed and, of an evaluation, the mean over seeds."""
        for board, numbers in zip(self.boards, numbers_by_seed, strict=True):
            board.scalars(count, numbers)
        if self._mean is not None and HEADLINE in numbers_by_seed[0]:
            if count == 0:
                self._mean.layout(numbers_by_seed[0])
            self._mean.scalars(count, bands(numbers_by_seed))

    def _take_back(self) -> None:
        """Make TensorBoard forget all from the checkpoint's count on, but for the rows kept there.

        At count 0 nothing comes after the checkpoint. Where TensorBoard lacks rows of the log, its
        files were lost or damaged, and all rows are shown again.
        """
        end = max(1, self._count)
        boards = self.boards if self._mean is None else [*self.boards, self._mean]
        logged: list[list[int]] = [[] for _ in boards]
        rows_to_show: Iterable[tuple[int, list[dict[str, float]]]] = []
        for count, numbers_by_seed in self._groups():
            if count >= end:
                rows_to_show.append((count, numbers_by_seed))
                continue
            are_rows = [*map(bool, numbers_by_seed), HEADLINE in numbers_by_seed[0]]
            for counts, is_row in zip(logged, are_rows, strict=False):
                counts += [count] * is_row
        if [board.forget(end) for board in boards] != logged:
            say(f"marlrun: {self._directory / 'tb'} lacks rows of {self._path.name}: written anew")
            shutil.rmtree(self._directory / "tb")
            self._open_boards()
            rows_to_show = self._groups()
        for count, numbers_by_seed in rows_to_show:
            self._show(count, numbers_by_seed)

    def _groups(self) -> Iterator[tuple[int, list[dict[str, float]]]]:
        """Yield (count, numbers of every seed) of the rows that the checkpoint knows."""
        rows = self._rows()
        for first in rows:
            group = [first, *islice(rows, len(self._seeds) - 1)]
            yield (
                first[self._unit],
                [
                    {tag: row[tag] for tag in row if tag not in (self._unit, "seed")}
                    for row in group
                ],
            )

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Write the run's hyperparameters beside every seed's curves, in place of earlier ones."""
        for board in self.boards:
            board.hyperparameters(values)

    def sync(self) -> int:
        """Force metrics.jsonl to the disk and return its length in bytes."""
        with appending(self._path) as file:
            os.fsync(file.fileno())
            return file.tell()


def holds_rows(path: Path) -> bool:
    """Say whether a log holds a row of training, after that of the untrained learner."""
    with suppress(FileNotFoundError), opened(path) as file:
        return any(re.search(rb'"(env_steps|updates)": [1-9]', line) for line in file)
    return False


_WAY_OUT = "put the whole file back to go on; mode=eval measures the run as it is"


def _parsed(line: bytes, seed: int, unit: Unit) -> dict[str, Any] | None:
    """Return a line of the log as we write it for a seed, None for any other."""
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    row = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    is_row = row.get("seed") == seed and type(row.get(unit)) is int
    is_whole = line.endswith(b"}\n") and all(map(_is_number, row.values()))
    return row if is_row and is_whole else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, Scalar]:
    """Return nested configuration as `algo.lr` -> value; lists and null become text."""
    scalars: dict[str, Scalar] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            scalars |= flat(cast(Mapping[str, object], value), f"{path}.")
        else:
            scalars[path] = value if isinstance(value, Scalar) else json.dumps(value)
    return scalars
