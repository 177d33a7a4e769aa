"""TensorBoard's event files, written record by record: exact resume cuts and rewrites them."""

# pyright: reportMissingTypeStubs=false

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer import record_writer

from marlrun.runner.console import HEADLINE
from marlrun.runner.intervals import estimate
from marlrun.system.writing import appending, write_atomically

# TensorBoard brings no types.
_loader: Any = event_file_loader
_events: Any = event_pb2
_summaries: Any = summary_pb2
_tensors: Any = tensor_pb2
_layouts: Any = layout_pb2
_metadata: Any = metadata
_hparams: Any = summary_v2
_records: Any = record_writer

Scalar = bool | int | float | str


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

    def forget(self, count: int) -> list[int]:
        """Cut everything from `count` on out of the files there are.

        Returns the steps of the rows that are left. A `SessionLog.START` would say it without that,
        but TensorBoard's fast loader ignores it.
        """
        steps: list[int] = []
        for path in self._path.parent.glob(f"{_EVENTS}[0-9]*"):
            events = _loader.LegacyEventFileLoader(str(path)).Load()
            earlier_events = [event for event in events if event.step < count]
            write_atomically(path, partial(_append, earlier_events))
            steps += [event.step for event in earlier_events if _is_row(event)]
        return sorted(steps)

    def scalars(self, count: int, numbers: Mapping[str, float]) -> None:
        """Write numbers by tag, at a count of the run's unit: the x axis of all curves."""
        values = [
            _summaries.Summary.Value(tag=tag, simple_value=number)
            for tag, number in numbers.items()
        ]
        self._summary(count, _summaries.Summary(value=values))

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

    def gif(self, count: int, tag: str, data: bytes, height: int, width: int) -> None:
        """Write an animated GIF as an image."""
        image = _summaries.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data
        )
        self._summary(
            count, _summaries.Summary(value=[_summaries.Summary.Value(tag=tag, image=image)])
        )

    def _summary(self, count: int, summary: Any) -> None:
        self._write(_event(count, summary=summary))

    def _write(self, event: Any) -> None:
        with appending(self._path) as file:
            _append((event,), file)


def bands(numbers_by_seed: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return an evaluation's means over seeds and, under tags of their own, the 95 % intervals.

    The mean is among these once more: TensorBoard warns of boards that have a part of a band.
    """
    values: dict[str, float] = {}
    for tag in (tag for tag in numbers_by_seed[0] if tag.startswith("eval/")):
        mean, low, high, _ = estimate([numbers[tag] for numbers in numbers_by_seed])
        assert low is not None and high is not None
        values |= {tag: mean} | dict(zip(_band(tag), (mean, low, high), strict=True))
    return values


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


def _event(count: int, **content: Any) -> Any:
    return _events.Event(wall_time=time.time(), step=count, **content)


def _append(events: Sequence[Any], file: BinaryIO) -> None:
    writer = _records.RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
