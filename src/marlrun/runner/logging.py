"""The log of a run: metrics.jsonl, and the same numbers for TensorBoard."""

# pyright: reportMissingTypeStubs=false

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, cast

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer import record_writer

from marlrun.runner.files import write_atomically
from marlrun.types import Seeds

# TensorBoard brings no types.
_loader: Any = event_file_loader
_events: Any = event_pb2
_summaries: Any = summary_pb2
_hparams: Any = summary_v2
_records: Any = record_writer

Row = Mapping[str, Sequence[float | None]]
"""Tag -> one number per seed; None where a seed has nothing to say."""

Scalar = bool | int | float | str


class Log:
    """Writes rows; after a resume everything that came after its checkpoint is taken back."""

    def __init__(self, directory: Path, seeds: Seeds, end: int, env_steps: int):
        """Open the log as it was when it had `end` bytes; ValueError if it is shorter now.

        `env_steps` is the step of its last row, or later.
        """
        self._path, self._seeds = directory / "metrics.jsonl", seeds
        self._path.touch()
        if self._path.stat().st_size < end:
            raise ValueError(f"{self._path} is shorter than its checkpoint says: {end} bytes")
        os.truncate(self._path, end)
        if end == 0:
            shutil.rmtree(directory / "tb", ignore_errors=True)
        self.boards = [Board(board_directory(directory, seed)) for seed in seeds]
        if end > 0:
            self._take_back(env_steps)

    def write(self, env_steps: int, row: Row) -> None:
        """Append one line per seed, and one event per seed to its TensorBoard directory."""
        lines: list[str] = []
        for index, (seed, board) in enumerate(zip(self._seeds, self.boards, strict=True)):
            numbers = {tag: values[index] for tag, values in row.items()}
            known = {tag: number for tag, number in numbers.items() if number is not None}
            lines.append(json.dumps({"env_steps": env_steps, "seed": seed, **known}) + "\n")
            board.scalars(env_steps, known)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def _take_back(self, env_steps: int) -> None:
        """Make TensorBoard forget all from `env_steps` on, but for the rows that are kept.

        At step 0 nothing comes after the checkpoint.
        """
        env_steps = max(1, env_steps)
        boards = dict(zip(self._seeds, self.boards, strict=True))
        for board in self.boards:
            board.forget(env_steps)
        lines = map(json.loads, reversed(self._path.read_text("utf-8").splitlines()))
        kept = takewhile(lambda line: line["env_steps"] == env_steps, lines)
        for line in reversed(list(kept)):
            seed = line.pop("seed")
            boards[seed].scalars(line.pop("env_steps"), line)

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Write the run's hyperparameters beside every seed's curves, in place of earlier ones."""
        for board in self.boards:
            board.hyperparameters(values)

    def settle(self) -> int:
        """Force what was written to the disk and return its length in bytes."""
        with self._path.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()


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

    def forget(self, env_steps: int) -> None:
        """Cut everything from `env_steps` on out of the files there are.

        A `SessionLog.START` would say it without that, but TensorBoard's fast loader ignores it.
        """
        for path in self._path.parent.glob(f"{_EVENTS}[0-9]*"):
            found = _loader.LegacyEventFileLoader(str(path)).Load()
            kept = [event for event in found if event.step < env_steps]
            write_atomically(path, partial(_append, kept))

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
        with self._path.open("ab") as file:
            _append((event,), file)


_EVENTS = "events.out.tfevents."


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
