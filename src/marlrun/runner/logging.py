"""The log of a run: metrics.jsonl, and the same numbers for TensorBoard."""

# pyright: reportMissingTypeStubs=false

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer import record_writer

from marlrun.types import Seeds

# TensorBoard brings no types.
_events: Any = event_pb2
_summaries: Any = summary_pb2
_hparams: Any = summary_v2
_records: Any = record_writer

Row = Mapping[str, Sequence[float | None]]
"""Tag -> one number per seed; None where a seed has nothing to say."""

Scalar = bool | int | float | str


class Log:
    """Writes rows; after a resume everything past `end` bytes and `env_steps` is taken back."""

    def __init__(self, directory: Path, seeds: Seeds, end: int, env_steps: int):
        """Open the log as it was when it had `end` bytes; ValueError if it is shorter now."""
        self._path, self._seeds = directory / "metrics.jsonl", seeds
        self._path.touch()
        if self._path.stat().st_size < end:
            raise ValueError(f"{self._path} is shorter than its checkpoint says: {end} bytes")
        os.truncate(self._path, end)
        self.boards = [Board(board_directory(directory, seed), env_steps) for seed in seeds]

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

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Write the run's hyperparameters beside every seed's curves."""
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

    def __init__(self, directory: Path, env_steps: int | None = None):
        """Begin a file after those there are; what they hold past `env_steps` no longer counts."""
        directory.mkdir(parents=True, exist_ok=True)
        older = len(list(directory.glob("events.out.tfevents.*")))
        self._path = directory / f"events.out.tfevents.{older:06d}"
        self._write(_events.Event(wall_time=time.time(), file_version="brain.Event:2"))
        if older and env_steps is not None:
            start = _events.SessionLog(status=_events.SessionLog.START)
            self._write(_events.Event(wall_time=time.time(), step=env_steps + 1, session_log=start))

    def scalars(self, env_steps: int, numbers: Mapping[str, float]) -> None:
        """Write numbers by tag."""
        values = [
            _summaries.Summary.Value(tag=tag, simple_value=number)
            for tag, number in numbers.items()
        ]
        self._summary(env_steps, _summaries.Summary(value=values))

    def hyperparameters(self, values: Mapping[str, Scalar]) -> None:
        """Fill this run's line of the HPARAMS tab; runs of equal values become one group."""
        self._summary(0, _hparams.hparams_pb(dict(values)))

    def gif(self, env_steps: int, tag: str, data: bytes, height: int, width: int) -> None:
        """Write an animated GIF as an image."""
        image = _summaries.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data
        )
        self._summary(
            env_steps, _summaries.Summary(value=[_summaries.Summary.Value(tag=tag, image=image)])
        )

    def _summary(self, env_steps: int, summary: Any) -> None:
        self._write(_events.Event(wall_time=time.time(), step=env_steps, summary=summary))

    def _write(self, event: Any) -> None:
        with self._path.open("ab") as file:
            _records.RecordWriter(file).write(event.SerializeToString())


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
