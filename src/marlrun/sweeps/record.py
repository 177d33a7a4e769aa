"""What sweep.json holds: read with care, for a stranger may have written it."""

import json
import os
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import formatannotation
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from marlrun.runner.outcome import Status
from marlrun.system.reading import read_json

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


def read(path: Path) -> Record:
    """Return the record in a file; ValueError, in one line that names `path`, if it is damaged."""
    try:
        content = read_json(path)
        try:
            record = Record(**content | {"jobs": [SweepJob(**job) for job in content["jobs"]]})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: no sweep of this version ({error})") from error
        _check(record, path)
    except ValueError as error:
        way_out = f"mode=resume run={path.parent}/JOB goes on with one of its jobs"
        raise ValueError(f"{error}; {way_out}") from error
    return record


def is_place(directory: str) -> bool:
    """Say whether a text can name a job's directory: one below the sweep's that is not its own.

    Launchers of Hydra's would interpolate "${".
    """
    parts = directory.split("/")
    try:
        name = os.fsencode(directory)
    except UnicodeEncodeError:
        return False
    is_plain = b"\0" not in name and b"${" not in name
    return is_plain and {"", ".", ".."}.isdisjoint(parts) and parts[0] not in OWN


OWN = (
    "sweep.json",
    ".sweep.json.tmp",
    ".lock",
    ".stop",
    ".handing_out",
    ".submitit",
    "inputs",
    "multirun.yaml",
    "optimization_results.yaml",
)
"""What a sweep's directory holds beside those of its jobs."""


def shared(jobs: Sequence[SweepJob]) -> str | None:
    """Return a directory that is also another job's, or lies in one."""
    counts = Counter(job.directory for job in jobs)
    for name, count in counts.items():
        above = (str(path) for path in PurePosixPath(name).parents)
        if count > 1 or any(path in counts for path in above):
            return name
    return None


def _check(record: Record, path: Path) -> None:
    """Refuse what a stranger's file may not say."""
    _check_types(record, str(path))
    for position, job in enumerate(record.jobs):
        where = f"{path}: job {position}"
        _check_types(job, where)
        if not is_place(job.directory):
            given = f"directory {job.directory!r:.200}"
            raise ValueError(f"{where}: {given}, expected one of its own below the sweep's")
        if job.pid is not None and not 0 < job.pid < 1 << 31:
            raise ValueError(f"{where}: pid {job.pid!r:.200}, expected a process id or null")
    if twice := shared(record.jobs):
        raise ValueError(f"{path}: directory {twice!r:.200}: expected another for every job")


def _check_types(of: Record | SweepJob, where: str) -> None:
    for key, kind in _TYPES[type(of)].items():
        value = getattr(of, key)
        if not _fits(value, kind):
            expected = formatannotation(kind).removeprefix("typing.")
            raise ValueError(f"{where}: {key} {value!r:.200}, expected {expected}")


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
