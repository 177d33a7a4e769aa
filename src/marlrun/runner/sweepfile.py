"""What sweep.json holds: read with care, for a stranger may have written it."""

import json
import os
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import formatannotation
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from marlrun.runner.outcome import Status

JobStatus = Literal["waiting", "running", Status]


@dataclass
class SweepJob:
    """One job of a sweep, as sweep.json has it."""

    number: int
    overrides: list[str]
    directory: str
    """The run directory, relative to the sweep's."""
    config: dict[str, Any] = field(repr=False)
    """Resolved: what the job does, whatever happens to conf/ meanwhile."""
    status: JobStatus = "waiting"
    error: str | None = None
    results: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    host: str | None = None
    pid: int | None = None
    """Where it runs, or ran last."""

    @property
    def is_here(self) -> bool:
        """Whether it runs in a process of this machine."""
        return self.status == "running" and self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether that process is still there."""
        return self.is_here and self.pid is not None and _exists(self.pid)


@dataclass
class Record:
    """What sweep.json holds."""

    argv: list[str]
    swept: list[str]
    """Keys that were given several values."""
    host: str
    pid: int
    """The process that hands out the jobs."""
    started: str
    finished: str | None
    jobs: list[SweepJob]


def in_text(record: Record) -> str:
    """Return the text of a record."""
    # Not indented, which takes ten times as long, but a line for every job.
    lines = [json.dumps(vars(job)) for job in record.jobs]
    head = json.dumps(vars(record) | {"jobs": []}).removesuffix("]}")
    return "\n".join([head, ",\n".join(lines), "]}\n"])


def parsed(text: bytes, path: str) -> Record:
    """Return the record in a text; ValueError, in one line that names `path`, if it is damaged."""
    try:
        content: Any = json.loads(text)
        record = Record(**content | {"jobs": [SweepJob(**job) for job in content["jobs"]]})
    except ValueError as error:
        go_on = f"mode=resume run={Path(path).parent}/JOB goes on with one of its jobs"
        raise ValueError(f"{path} is damaged, not JSON ({error}); {go_on}") from error
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path}: no sweep of this version ({error})") from error
    _check(record, path)
    return record


def is_outside(job: SweepJob) -> bool:
    """Say whether a job's directory is not one below the sweep's, by its name."""
    parts = job.directory.split("/")
    return job.directory.startswith("/") or not {"", ".", ".."}.isdisjoint(parts)


def shared(jobs: Sequence[SweepJob]) -> str | None:
    """Return a directory that two jobs share."""
    counts = Counter(job.directory for job in jobs)
    return next((name for name, count in counts.items() if count > 1), None)


def _check(record: Record, path: str) -> None:
    """Refuse what a stranger's file may not say."""
    _check_types(record, path)
    for job in record.jobs:
        where = f"{path}: job {job.number}"
        _check_types(job, where)
        if is_outside(job):
            raise ValueError(f"{where}: directory {job.directory!r} is outside")
    if twice := shared(record.jobs):
        raise ValueError(f"{path}: directory {twice!r}: expected another for every job")


def _check_types(of: Record | SweepJob, where: str) -> None:
    for key, kind in _TYPES[type(of)].items():
        value = getattr(of, key)
        if not _fits(value, kind):
            expected = formatannotation(kind).removeprefix("typing.")
            raise ValueError(f"{where}: {key} {value!r}, expected {expected}")


def _fits(value: Any, kind: Any) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in args
    if origin is UnionType:
        return any(_fits(value, one) for one in args)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, args[0]) for one in cast(Any, value))
    if origin is dict:
        return isinstance(value, dict) and _fits([*cast(Any, value).values()], list[args[1]])
    return kind is Any or type(value) in ((int, float) if kind is float else (kind,))


def _exists(pid: int) -> bool:
    """Say whether there is such a process, other than this one, and not only its exit status."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and pid != os.getpid()
    return pid != os.getpid()


_TYPES = {of: get_type_hints(of) for of in (Record, SweepJob)}
