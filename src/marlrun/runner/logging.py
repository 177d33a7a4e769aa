"""The log of a run: metrics.jsonl, and the same numbers for TensorBoard."""

# pyright: reportMissingTypeStubs=false

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer import record_writer

from marlrun.files import appending, opened, write_atomically
from marlrun.output import say
from marlrun.runner.console import HEADLINE
from marlrun.runner.stats import estimate
from marlrun.types import Seeds

# TensorBoard brings no types.
_loader: Any = event_file_loader
_events: Any = event_pb2
_summaries: Any = summary_pb2
_tensors: Any = tensor_pb2
_layouts: Any = layout_pb2
_metadata: Any = metadata
_hparams: Any = summary_v2
_records: Any = record_writer

Row = Mapping[str, Sequence[float | None]]
"""Tag -> one number per seed; None where a seed has nothing to say."""

Scalar = bool | int | float | str


class Log:
    """Writes rows; after a resume everything that came after its checkpoint is taken back."""

    def __init__(self, directory: Path, seeds: Seeds, end: int, env_steps: int):
        """Check the log as it was when it had `end` bytes, and change nothing yet.

        `env_steps` is the step of its last row, or later. ValueError, naming file and line, if the
        log is shorter now or holds what is none of its rows.
        """
        self._directory, self._seeds = directory, seeds
        self._path, self._end, self._env_steps = directory / "metrics.jsonl", end, env_steps
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
                if read > self._end or not (row := _parsed(line, seed)):
                    raise ValueError(f"{self._path}: line {number} is damaged; {_WAY_OUT}")
                yield row
                if read == self._end:
                    return
        raise ValueError(
            f"{self._path} is shorter than its checkpoint says: {self._end} bytes; {_WAY_OUT}"
        )

    def write(self, env_steps: int, row: Row) -> None:
        """Append one line per seed, and the same to TensorBoard's directories."""
        known = [
            {tag: number for tag, values in row.items() if (number := values[index]) is not None}
            for index in range(len(self._seeds))
        ]
        self._show(env_steps, known)
        lines = [
            json.dumps({"env_steps": env_steps, "seed": seed, **numbers}) + "\n"
            for seed, numbers in zip(self._seeds, known, strict=True)
        ]
        with appending(self._path) as file:
            file.write("".join(lines).encode())

    def _show(self, env_steps: int, known: Sequence[Mapping[str, float]]) -> None:
        """Show what is known of each seed and, of an evaluation, the mean over seeds."""
        for board, numbers in zip(self.boards, known, strict=True):
            board.scalars(env_steps, numbers)
        if self._mean is not None and HEADLINE in known[0]:
            if env_steps == 0:
                self._mean.layout(known[0])
            self._mean.scalars(env_steps, _bands(known))

    def _take_back(self) -> None:
        """Make TensorBoard forget all from the checkpoint's step on, but for the rows kept there.

        At step 0 nothing comes after the checkpoint. Where TensorBoard lacks rows of the log, its
        files were lost or damaged, and all rows are shown again.
        """
        env_steps = max(1, self._env_steps)
        boards = self.boards if self._mean is None else [*self.boards, self._mean]
        logged: list[list[int]] = [[] for _ in boards]
        again: Iterable[tuple[int, list[dict[str, float]]]] = []
        for step, known in self._groups():
            if step >= env_steps:
                again.append((step, known))
                continue
            shown = [*map(bool, known), HEADLINE in known[0]]
            for steps, is_shown in zip(logged, shown, strict=False):
                steps += [step] * is_shown
        if [board.forget(env_steps) for board in boards] != logged:
            say(f"marlrun: {self._directory / 'tb'} lacks rows of {self._path.name}: written anew")
            shutil.rmtree(self._directory / "tb")
            self._open_boards()
            again = self._groups()
        for step, known in again:
            self._show(step, known)

    def _groups(self) -> Iterator[tuple[int, list[dict[str, float]]]]:
        """Yield (step, numbers of every seed) of the rows that the checkpoint knows."""
        rows = self._rows()
        for first in rows:
            group = [first, *islice(rows, len(self._seeds) - 1)]
            yield (
                first["env_steps"],
                [
                    {tag: row[tag] for tag in row if tag not in ("env_steps", "seed")}
                    for row in group
                ],
            )

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Write the run's hyperparameters beside every seed's curves, in place of earlier ones."""
        for board in self.boards:
            board.hyperparameters(values)

    def settle(self) -> int:
        """Force what was written to the disk and return its length in bytes."""
        with appending(self._path) as file:
            os.fsync(file.fileno())
            return file.tell()


def holds_rows(path: Path) -> bool:
    """Say whether a log holds a row of training, after that of the untrained learner."""
    with suppress(FileNotFoundError), opened(path) as file:
        return any(re.search(rb'"env_steps": [1-9]', line) for line in file)
    return False


_WAY_OUT = "put the whole file back to go on; mode=eval measures the run as it is"


def _parsed(line: bytes, seed: int) -> dict[str, Any] | None:
    """Return a line of the log as we write it for a seed, None for any other."""
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    row = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    is_row = row.get("seed") == seed and type(row.get("env_steps")) is int
    is_whole = line.endswith(b"}\n") and all(map(_is_number, row.values()))
    return row if is_row and is_whole else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def board_directory(directory: Path, seed: int) -> Path:
    """Return where a seed's TensorBoard events lie."""
    return directory / "tb" / f"seed_{seed}"


class Board:
    """One seed's TensorBoard events; files are opened for every event, so seeds may be many."""

    def __init__(self, directory: Path):
        """Begin a file after those there are; the first number is left to `hyperparameters`."""
        directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.suffix[1:]) for path in directory.glob(f"{_EVENTS}[0-9]*")]
        self._path = directory / f"{_EVENTS}{max(numbers, default=0) + 1:06d}"
        self._write(_version())

    def forget(self, env_steps: int) -> list[int]:
        """Cut everything from `env_steps` on out of the files there are.

        Returns the steps of the rows that are left. A `SessionLog.START` would say it without that,
        but TensorBoard's fast loader ignores it.
        """
        steps: list[int] = []
        for path in self._path.parent.glob(f"{_EVENTS}[0-9]*"):
            events = _loader.LegacyEventFileLoader(str(path)).Load()
            kept = [event for event in events if event.step < env_steps]
            write_atomically(path, partial(_append, kept))
            steps += [event.step for event in kept if _is_row(event)]
        return sorted(steps)

    def scalars(self, env_steps: int, numbers: Mapping[str, float]) -> None:
        """Write numbers by tag."""
        values = [
            _summaries.Summary.Value(tag=tag, simple_value=number)
            for tag, number in numbers.items()
        ]
        self._summary(env_steps, _summaries.Summary(value=values))

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Fill this run's line of the HPARAMS tab; runs of equal values become one group.

        TensorBoard believes the first it reads, so they stand in a file that can be replaced.
        """
        events = (_version(), _event(0, summary=_hparams.hparams_pb(dict(values))))
        write_atomically(self._path.with_name(f"{_EVENTS}{0:06d}"), partial(_append, events))

    def layout(self, tags: Iterable[str]) -> None:
        """Lay out the CUSTOM SCALARS tab for `tags`; what several boards want is merged there."""
        value = _summaries.Summary.Value(
            tag=_metadata.CONFIG_SUMMARY_TAG,
            metadata=_metadata.create_summary_metadata(),
            tensor=_tensors.TensorProto(
                dtype="DT_STRING", string_val=[_layout(tags).SerializeToString()], tensor_shape={}
            ),
        )
        self._summary(0, _summaries.Summary(value=[value]))

    def gif(self, env_steps: int, tag: str, data: bytes, height: int, width: int) -> None:
        """Write an animated GIF as an image."""
        image = _summaries.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data
        )
        self._summary(
            env_steps, _summaries.Summary(value=[_summaries.Summary.Value(tag=tag, image=image)])
        )

    def _summary(self, env_steps: int, summary: Any) -> None:
        self._write(_event(env_steps, summary=summary))

    def _write(self, event: Any) -> None:
        with appending(self._path) as file:
            _append((event,), file)


def _bands(known: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return an evaluation's means over seeds and, under tags of their own, the 95 % intervals.

    The mean is among these once more: TensorBoard warns of boards that have a part of a band.
    """
    found: dict[str, float] = {}
    for tag in (tag for tag in known[0] if tag.startswith("eval/")):
        mean, low, high, _ = estimate([numbers[tag] for numbers in known])
        assert low is not None and high is not None
        found |= {tag: mean} | dict(zip(_band(tag), (mean, low, high), strict=True))
    return found


def _band(tag: str) -> tuple[str, str, str]:
    """Return the tags of the mean and the ends of its interval."""
    stem = f"interval/{tag.removeprefix('eval/')}"
    return f"{stem}/mean", f"{stem}/low", f"{stem}/high"


def _layout(tags: Iterable[str]) -> Any:
    """Return the charts of an evaluation: mean and band of what counts, and every seed."""
    margins = [
        _layouts.Chart(
            title=f"{tag}: mean over seeds, 95 % interval",
            margin={"series": [dict(zip(("value", "lower", "upper"), _band(tag), strict=True))]},
        )
        for tag in tags
        if tag in (HEADLINE, "eval/return_fraction")
    ]
    seeds = _layouts.Chart(title=f"{HEADLINE}: every seed", multiline={"tag": [f"{HEADLINE}$"]})
    return _layouts.Layout(category=[{"title": "evaluation", "chart": [*margins, seeds]}])


_EVENTS = "events.out.tfevents."


def _is_row(event: Any) -> bool:
    return any(value.HasField("simple_value") for value in event.summary.value)


def _version() -> Any:
    return _event(0, file_version="brain.Event:2")


def _event(env_steps: int, **content: Any) -> Any:
    return _events.Event(wall_time=time.time(), step=env_steps, **content)


def _append(events: Sequence[Any], file: BinaryIO) -> None:
    writer = _records.RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, Scalar]:
    """Return nested configuration as `algo.lr` -> value; lists and null become text."""
    found: dict[str, Scalar] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(cast(Mapping[str, object], value), f"{path}.")
        else:
            found[path] = value if isinstance(value, Scalar) else json.dumps(value)
    return found
