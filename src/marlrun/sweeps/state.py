"""The state of a sweep in sweep.json, read with care: a stranger may have written it."""

import json
import os
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from marlrun.config.kinds import fits
from marlrun.config.older import current
from marlrun.runner.outcome import Status
from marlrun.system.errors import advising
from marlrun.system.reading import read_json

JobStatus = Literal["waiting", "running", Status]


@dataclass
class SweepJob:
    """A job of a sweep: what it does and how it stands."""

    number: int
    overrides: list[str]
    directory: str
    """The run directory, relative to the directory of the sweep."""
    config: dict[str, Any] = field(repr=False)
    """The resolved configuration, which no later edit of conf/ changes."""
    status: JobStatus = "waiting"
    error: str | None = None
    results: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    host: str | None = None
    pid: int | None = None
    """The process that does the job, or did it last."""

    @property
    def is_here(self) -> bool:
        """Whether the job runs in a process of this machine."""
        return self.status == "running" and self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the job runs in a process of this machine that still exists."""
        return self.is_here and self.pid is not None and _exists(self.pid)


@dataclass
class SweepState:
    """A sweep: the command that began it, the process that hands out its jobs, and the jobs."""

    argv: list[str]
    swept: list[str]
    """The keys of which the command line gives several values."""
    host: str
    pid: int
    """The process that hands out the jobs, or did it last."""
    started: str
    finished: str | None
    jobs: list[SweepJob]

    def jobs_in(self, directories: Collection[str]) -> list[SweepJob]:
        """Return the jobs whose run directories these are."""
        return [job for job in self.jobs if job.directory in directories]


def to_text(state: SweepState) -> str:
    """Return a state as the text of sweep.json, with a line for every job."""
    # The standard library takes ten times as long to indent.
    lines = [json.dumps(vars(job)) for job in state.jobs]
    head = json.dumps(vars(state) | {"jobs": []}).removesuffix("]}")
    return "\n".join([head, ",\n".join(lines), "]}\n"])


def read_state(path: Path) -> SweepState:
    """Return the state in a file; ValueError, in one line that names it, if it is damaged."""
    with advising(f"mode=resume run={path.parent}/JOB goes on with one of its jobs"):
        content = read_json(path)
        try:
            state = SweepState(**content | {"jobs": [SweepJob(**job) for job in content["jobs"]]})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: no sweep of this version ({error})") from error
        _check(state, path)
        for job in state.jobs:
            job.config = current(job.config)
    return state


def is_job_directory(directory: str) -> bool:
    """Say whether a text can name the directory of a job.

    That lies below the directory of the sweep, under a name which the sweep itself does not use.
    It holds no "${", which Hydra's launchers would interpolate.
    """
    parts = directory.split("/")
    try:
        name = os.fsencode(directory)
    except UnicodeEncodeError:
        return False
    is_plain = b"\0" not in name and b"${" not in name
    return is_plain and {"", ".", ".."}.isdisjoint(parts) and parts[0] not in RESERVED


RESERVED = (
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
"""The names in the directory of a sweep that no job can have."""


def repeated_directory(jobs: Sequence[SweepJob]) -> str | None:
    """Return a directory that two jobs have, or that lies in the directory of another job."""
    counts = Counter(job.directory for job in jobs)
    for name, count in counts.items():
        parents = (str(path) for path in PurePosixPath(name).parents)
        if count > 1 or any(parent in counts for parent in parents):
            return name
    return None


def _check(state: SweepState, path: Path) -> None:
    """Raise ValueError for what the file of a stranger may not say."""
    _check_types(state, str(path))
    for position, job in enumerate(state.jobs):
        where = f"{path}: job {position}"
        _check_types(job, where)
        if not is_job_directory(job.directory):
            directory = f"directory {job.directory!r:.200}"
            raise ValueError(f"{where}: {directory}, expected one of its own below the sweep's")
        for tag, values in job.results.items():
            # Not `list of float`: a result may be beyond single precision.
            if not fits("list", values) or {*map(type, values)} - {int, float}:
                given = f"results {tag!r:.80} {values!r:.80}"
                raise ValueError(f"{where}: {given}, expected a number for every seed")
    if directory := repeated_directory(state.jobs):
        raise ValueError(f"{path}: directory {directory!r:.200}: expected another for every job")


def _check_types(entry: SweepState | SweepJob, where: str) -> None:
    for key, kind in _KINDS[type(entry)].items():
        value = getattr(entry, key)
        if not fits(kind, value):
            raise ValueError(f"{where}: {key} {value!r:.200}, expected {kind}")


def _exists(pid: int) -> bool:
    """Say whether another process has this id and has not ended (a zombie has)."""
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


_KINDS: dict[type, dict[str, str]] = {
    SweepState: {
        "argv": "list of str",
        "swept": "list of str",
        "host": "str",
        "pid": "int",
        "started": "str",
        "finished": "str or null",
        "jobs": "list",
    },
    SweepJob: {
        "number": "int",
        "overrides": "list of str",
        "directory": "str",
        "config": "dict",
        "status": "waiting | running | finished | interrupted | failed | refused",
        "error": "str or null",
        "results": "dict",
        "host": "str or null",
        "pid": "int [1, 2147483647] or null",
    },
}
"""What every field holds, in the words of marlrun.config.kinds."""
