"""Reads run directories and sweep directories into plain data."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from marlrun.config.nested import leaves
from marlrun.config.older import current
from marlrun.config.unit import Unit, plural, unit_of
from marlrun.report.data import jsonl
from marlrun.report.data.arrays import Floats, Ints
from marlrun.report.data.jsonl import Object, number
from marlrun.report.data.notes import Notes
from marlrun.system.plain import plain, printable
from marlrun.system.reading import read_json, read_yaml
from marlrun.system.walk import is_run, walk

CHOICES = ("env", "algo")


@dataclass(frozen=True)
class Trial:
    """One seed of a run: a metric and the wall time at `steps`, ascending counts of the run's unit."""

    run: "Run"
    seed: int
    steps: Ints
    values: Floats
    """NaN where the value is no number."""
    seconds: Floats
    final: float | None
    """The result on fresh episodes after training; None if the run is not finished."""

    @property
    def label(self) -> str:
        """The name of the trial in notes."""
        return f"{self.run.name} seed {self.seed}"


@dataclass(frozen=True)
class Run:
    """A run directory without its curves."""

    name: str
    """The path of the directory, printable, as it follows from what the user typed."""
    config: Object
    """What config.yaml holds."""
    record: Object
    """What run.json holds."""
    tags: set[str] = field(default_factory=set[str])

    def choice(self, group: str) -> str:
        """Return the name of the algorithm, environment or graph, whichever `group` says."""
        option = mapping(self.config.get("choices")).get(group) or self.record.get(group)
        target = str(mapping(self.config.get(group)).get("_target_", "unknown"))
        return str(option or target.rpartition(".")[0].rpartition(".")[2] or target)

    @property
    def unit(self) -> Unit:
        """What the run counts."""
        return unit_of(self.config)

    @cached_property
    def settings(self) -> Object:
        """The configuration by dotted key; `algo`, `env` and `graph` are names; `unit` is added."""
        groups = [*CHOICES, "graph"] if self.config.get("graph") else CHOICES
        flat = dict(leaves(self.config)) | {group: self.choice(group) for group in groups}
        flat["unit"] = self.unit
        return {key: value for key, value in flat.items() if not key.endswith("._target_")}

    @property
    def status(self) -> str:
        """The status that run.json says."""
        return str(self.record.get("status", "unknown"))


@dataclass(frozen=True)
class Sweep:
    """A sweep, of which only the keys matter in which its jobs differ."""

    swept: list[str]


def find(directories: Iterable[Path], notes: Notes) -> tuple[list[Path], list[Sweep]]:
    """Return all run directories and sweeps in or below `directories`, each once."""
    runs: list[Path] = []
    sweeps: list[Sweep] = []

    def complain(about: str) -> None:
        notes.add("Directories that could not be read", about)

    for directory, files in walk(directories, complain):
        if "sweep.json" in files:
            sweeps.append(read_sweep(directory, notes))
        if is_run(files):
            runs.append(directory)
    return runs, sweeps


def read_sweep(directory: Path, notes: Notes) -> Sweep:
    """Read sweep.json; a note names each job that has no run directory."""
    document = _read_mapping(directory / "sweep.json", read_json, notes)
    for job in filter(mapping, items(document.get("jobs"))):
        if not _has_run(directory / str(job.get("directory"))):
            overrides = " ".join(map(str, items(job.get("overrides"))))
            cause = f": {job['error']}" if job.get("error") else ""
            subject = (
                f"{directory} job {job.get('number')} {job.get('status')}{cause} ({overrides})"
            )
            notes.add("Jobs of a sweep without a run, so without any result", subject)
    return Sweep([printable(str(key)) for key in items(document.get("swept"))])


def _has_run(directory: Path) -> bool:
    try:
        return any((directory / name).exists() for name in ("run.json", "config.yaml"))
    except OSError:  # a name that is too long
        return False


def read_run(directory: Path, metric: str, notes: Notes) -> list[Trial]:
    """Return a trial for every seed of a run; notes say what cannot be read."""
    if not os.path.lexists(directory / "run.json"):
        notes.add("Runs without run.json, left out", str(directory))
        return []
    record = _read_mapping(directory / "run.json", read_json, notes)
    config = _read_mapping(directory / "config.yaml", read_yaml, notes)
    if not config or not record:
        return []
    run = Run(printable(str(directory)), current(plain(config)), plain(record))
    rows, tags = jsonl.rows(directory / "metrics.jsonl", metric, notes, run.unit)
    run.tags.update(tags)
    if run.status != "finished":
        progress = _progress(run, int(rows[:, 1].max(initial=0)))
        notes.add("Runs not finished: in the curves, not in the final results", progress)
    seeds = _seeds(run, notes)
    finals = _finals(run, seeds, metric, notes)
    return list(_trials(run, sorted({*seeds, *map(int, rows[:, 0])}), rows, finals))


def _progress(run: Run, logged_steps: int) -> str:
    """Return how far a run came; metrics.jsonl is ahead of run.json while a run goes on."""
    total, error = run.config.get(run.unit), run.record.get("error")
    recorded = run.record.get(run.unit)
    steps = max(logged_steps, recorded if isinstance(recorded, int) else 0)
    progress = f"{run.status}, {steps} of {total} {plural(run.unit).split()[-1]}"
    return f"{run.name} ({progress}{f': {error}' if error else ''})"


def _finals(run: Run, seeds: list[int], metric: str, notes: Notes) -> dict[int, float]:
    """Return the final result of each seed; {} if the run is not finished."""
    results = mapping(run.record.get("results"))
    run.tags.update(results)
    if run.status != "finished" or metric not in results:
        return {}
    values = [number(value) for value in items(results[metric])]
    if len(values) != len(seeds):
        notes.add("Runs whose results in run.json do not fit their seeds: not used", run.name)
        return {}
    return dict(zip(seeds, values, strict=True))


def _seeds(run: Run, notes: Notes) -> list[int]:
    seeds = items(run.record.get("seeds"))
    if seeds and all(type(seed) is int and 0 <= seed <= jsonl.LARGEST for seed in seeds):
        return seeds
    notes.add("Runs whose run.json does not tell their seeds", run.name)
    return []


def _trials(
    run: Run, seeds: list[int], rows: Floats, finals: Mapping[int, float]
) -> Iterator[Trial]:
    """Split rows [points, (seed, step, value, seconds)] by seed; the last row of a step counts."""
    for seed in seeds:
        newest_first = rows[rows[:, 0] == seed][::-1]
        steps, indices = np.unique(newest_first[:, 1], return_index=True)
        _, _, values, seconds = newest_first[indices].T
        yield Trial(run, seed, steps.astype(np.int64), values, seconds, finals.get(seed))


def _read_mapping(path: Path, parse: Callable[[Path], Any], notes: Notes) -> Object:
    """Return the mapping that a document holds; {} and a note if it holds none."""
    try:
        content = parse(path)
    except OSError as error:
        reason = f"{path} ({error.strerror})"
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(content, dict):
            return cast(Object, content)
        reason = f"{path} (not a mapping)"
    notes.add("Documents that could not be read, left out", reason)
    return {}


def mapping(value: Any) -> Object:
    """Return `value` if it is a JSON object, and else {}."""
    return cast(Object, value) if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return `value` if it is a JSON list, and else []."""
    return cast(list[Any], value) if isinstance(value, list) else []
