"""The runs below a directory, as their documents tell them; imports no torch.

A stranger may have written them, so whatever cannot be read is listed as damaged, with the reason.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from marlrun.config.kinds import fits
from marlrun.config.nested import leaves
from marlrun.config.older import RENAMED, current
from marlrun.config.schema import show
from marlrun.config.unit import Unit, unit_of
from marlrun.runner.console import HEADLINE
from marlrun.runner.documents import read_config, read_record
from marlrun.runner.intervals import Estimate, estimate
from marlrun.system.errors import one_line
from marlrun.system.output import say
from marlrun.system.paths import is_directory
from marlrun.system.plain import plain, printable
from marlrun.system.reading import opened, read_json
from marlrun.system.walk import HANDING_OUT, is_run, walk
from marlrun.system.writing import is_held

OUTPUTS = "outputs"
"""Where runs lie if nothing else was typed."""


@dataclass(frozen=True)
class Run:
    """A run, or a job of a sweep that has not begun."""

    path: Path
    status: str
    """What run.json says; `killed` if the process of a running one is gone, `damaged` if its
    documents cannot be read. A job that has no run directory is `waiting`, `failed` or `refused`."""
    algo: str | None = None
    env: str | None = None
    name: str | None = None
    seeds: list[int] = field(default_factory=list[int])
    unit: Unit = "env_steps"
    """What it counts."""
    steps: int = 0
    """Environment steps per replica so far, or updates of an offline learner."""
    started: str | None = None
    """When it began, in UTC and ISO 8601; of a job that has not begun, when its sweep did."""
    finished: str | None = None
    results: dict[str, list[float]] = field(default_factory=dict[str, list[float]], repr=False)
    """Tag -> one number per seed; empty unless it is finished."""
    error: str | None = None
    """Why it failed, was refused or is damaged."""
    sweep: Path | None = None
    """The directory of the sweep that it is a job of."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Its configuration by dotted key."""
    words: list[str] = field(default_factory=list[str], repr=False)
    """What was typed for it: KEY=VALUE, .."""

    @property
    def headline(self) -> Estimate | None:
        """The mean of the final returns with its interval over seeds."""
        returns = self.results.get(HEADLINE)
        return estimate(returns) if returns else None

    @property
    def has_checkpoint(self) -> bool:
        """Whether mode=eval has something to measure."""
        return self.status != "damaged" and any((self.path / "checkpoints").glob("*.pt"))

    @property
    def is_unfinished(self) -> bool:
        """Whether mode=resume has something to do, and no process is doing it."""
        if self.status in ("finished", "running", "damaged"):
            return False
        return self.sweep is None or not is_held(self.sweep / HANDING_OUT)


def runs(directory: str | Path = OUTPUTS) -> list[Run]:
    """Return all runs in or below a directory, the newest start first.

    ValueError, in one line, if there is no such directory.
    """
    top = Path(directory)
    if not is_directory(top):
        raise ValueError(f"dir={directory}: no such directory")
    return sorted(_runs(top), key=lambda run: (run.started or "", str(run.path)), reverse=True)


def differences(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return for each run what was typed for it of the keys in which these runs differ.

    Left out is what has a column of its own, as the algorithm has, and how a run was carried out
    and watched.
    """
    typed_values = [_typed_values(run) for run in runs]
    differing: set[str] = set()
    for key in {key for words in typed_values for key in words}:
        pairs = zip(runs, typed_values, strict=True)
        if len({_text(run.settings, key, words.get(key, "")) for run, words in pairs}) > 1:
            differing.add(key)
    return [{key: words[key] for key in words if key in differing} for words in typed_values]


def _typed_values(run: Run) -> dict[str, str]:
    """Return what was typed for a run by key, under the name that the key has now."""
    values: dict[str, str] = {}
    for word in run.words:
        key, sign, text = word.lstrip("+").partition("=")
        if sign and not _LEFT_OUT.match(key):
            name = RENAMED.get(key, key)
            values[name if name in run.settings else key] = text
    return values


_LEFT_OUT = re.compile(
    r"(mode|algo|env|name|env_steps|updates|device|threads|plugins)$|(hydra|eval|checkpoint|log)[./]"
)


def _text(settings: Mapping[str, Any], key: str, typed_text: str) -> str:
    """Return the value of a key: the name of a group's choice, a setting, or else what was typed."""
    for stored in (f"choices.{key}", key):
        if stored in settings:
            return show(settings[stored])
    return typed_text


def _runs(top: Path) -> Iterator[Run]:
    sweeps: list[Path] = []
    """The sweeps that the directory at hand lies in, the innermost last."""
    for path, files in walk([top], lambda about: say(f"marlrun: cannot be read: {about}")):
        while sweeps and not path.is_relative_to(sweeps[-1]):
            sweeps.pop()
        if is_run(files):
            yield _read_run(path, sweeps[-1] if sweeps else None)
        if "sweep.json" in files:
            sweeps.append(path)
            yield from _jobs_not_begun(path)


def _read_run(path: Path, sweep: Path | None) -> Run:
    """Return the run of a directory, of which a running one tells its progress by its log alone."""
    try:
        # Without run.json it died before that was written.
        record = read_record(path) or {"status": "running"}
        run = _checked(path, record, read_config(path), sweep, path / "run.json")
        if run.status != "running":
            return run
        log = path / "metrics.jsonl"
        status = "running" if is_held(log) else "killed"
        return replace(run, status=status, steps=max(run.steps, _last_step(log)))
    except (ValueError, OSError) as error:
        return Run(path, "damaged", error=printable(one_line(error)), sweep=sweep)


def _jobs_not_begun(sweep: Path) -> Iterator[Run]:
    """Yield the jobs of a sweep that have no run directory."""
    document = sweep / "sweep.json"
    try:
        content = _mapping(read_json(document))
        jobs = content.get("jobs")
        if not isinstance(jobs, list):
            raise ValueError(f"{document}: expected an object with a list of jobs")
        for job in map(_mapping, cast("list[Any]", jobs)):
            directory = sweep / str(job.get("directory"))
            if not any((directory / name).exists() for name in ("run.json", "config.yaml")):
                record = {key: job[key] for key in ("status", "error") if key in job}
                record |= {"started": content.get("started"), "argv": job.get("overrides", [])}
                config = current(_mapping(job.get("config")))
                yield _checked(directory, record, config, sweep, document)
    except (ValueError, OSError) as error:
        yield Run(sweep, "damaged", error=printable(one_line(error)), sweep=sweep)


def _checked(
    path: Path,
    record: Mapping[str, Any],
    config: Mapping[str, Any],
    sweep: Path | None,
    source: Path,
) -> Run:
    """Return the run that two documents describe; ValueError for what `source` may not hold."""
    choices = _mapping(config.get("choices"))
    defaults = {"algo": choices.get("algo"), "env": choices.get("env"), "name": config.get("name")}
    values = _mapping(plain({**defaults, **record}))
    for key, kind in _KINDS.items():
        if key in values and not fits(kind, values[key]):
            raise ValueError(f"{source}: {key} {values[key]!r:.80}: expected {kind}")
    if not _TIME.fullmatch(values.get("started") or _EXAMPLE):
        raise ValueError(
            f"{source}: started {values['started']!r:.80}: expected a time, {_EXAMPLE}"
        )
    # A job that has not begun has counted nothing: its configuration says what it will count.
    unit = unit_of({**config, **values})
    results = _mapping(values.get("results"))
    for tag, numbers in results.items():
        if not fits("list", numbers) or not all(map(_is_number, numbers)):
            raise ValueError(f"{source}: results of {tag:.80}: expected a list of numbers")
    return Run(
        path=path,
        status=values.get("status", "waiting"),
        algo=values["algo"],
        env=values["env"],
        name=values["name"],
        seeds=values.get("seeds", []),
        unit=unit,
        steps=values.get(unit, 0),
        started=values.get("started"),
        finished=values.get("finished"),
        results=results,
        error=values.get("error"),
        sweep=sweep,
        settings=dict(leaves(plain(dict(config)))),
        words=values.get("argv", []),
    )


_KINDS = {
    "status": "str",
    "algo": "str or null",
    "env": "str or null",
    "name": "str or null",
    "seeds": "list of int",
    "env_steps": "int",
    "updates": "int",
    "started": "str or null",
    "finished": "str or null",
    "error": "str or null",
    "argv": "list of str",
}
"""What documents may say of a run."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*")
_EXAMPLE = "2026-11-25T17:29:02+00:00"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST


_LARGEST = 1e100
"""Results up to here are shown: no sum of them overflows."""


def _last_step(log: Path) -> int:
    """Return what the last row of a log counts, 0 if there is none."""
    with suppress(FileNotFoundError), opened(log) as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        steps = re.findall(rb'"(?:env_steps|updates)": (\d{1,18})\b', file.read(_TAIL))
        return int(steps[-1]) if steps else 0
    return 0


_TAIL = 1 << 16
"""Bytes in which the last row of a log is looked for."""


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
