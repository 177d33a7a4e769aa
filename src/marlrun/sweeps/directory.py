"""The directory of a sweep, where sweep.json says what every job does and how it stands.

Jobs may run in many processes. Each writes down at once, under a lock, what it learns.
"""

import os
import re
import shutil
import socket
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from marlrun.runner import inputs
from marlrun.runner.documents import holds_run, locked, now
from marlrun.runner.outcome import Outcome
from marlrun.sweeps.state import (
    RESERVED,
    SweepJob,
    SweepState,
    is_job_directory,
    read_state,
    repeated_directory,
    to_text,
)
from marlrun.system import commands
from marlrun.system.paths import make_directory, refuse_links, remove_directories
from marlrun.system.reading import InputFile
from marlrun.system.walk import HANDING_OUT
from marlrun.system.writing import exclusive, write_atomically


class Sweep:
    """The directory of a sweep. Every method reads sweep.json, which other processes change too."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._path = directory / "sweep.json"
        self._stop = directory / ".stop"
        self._dispatch_lock = ExitStack()
        self._new_directories: list[Path] = []

    def begin(self, argv: Sequence[str], swept: Sequence[str], plugins: Sequence[str] = ()) -> None:
        """Write a sweep.json without jobs; `plugins` are those of the command line.

        ValueError if the directory holds a sweep with jobs, or a run, or if it cannot be made.
        """
        if holds_run(self.directory):
            raise ValueError(
                f"hydra.sweep.dir={self.directory}: holds a run; expected another directory"
            )
        self._new_directories = make_directory(self.directory, "hydra.sweep.dir")
        refuse_links(self.directory, RESERVED)
        self._refuse_jobs(plugins)
        self._take_over()
        self._refuse_jobs(plugins)  # Another process may have been faster.
        self._stop.unlink(missing_ok=True)
        host, pid = socket.gethostname(), os.getpid()
        try:
            self._write(SweepState([*argv], [*swept], host, pid, now(), None, []))
        except OSError:
            self._remove()
            raise

    def _refuse_jobs(self, plugins: Sequence[str]) -> None:
        if self._path.exists() and self.read().jobs:
            way_out = f"{commands.resume(self.directory, plugins)} goes on with it"
            raise ValueError(f"hydra.sweep.dir={self.directory}: holds a sweep already; {way_out}")

    def resume(self) -> list[SweepJob]:
        """Make this process the one that hands out jobs; return the jobs that are not finished.

        Some of them may still run in processes that outlived the one which handed them out: their
        end is waited for. The error of a job says if it was finished and its directory is gone.
        """
        state = self.read()
        if not state.jobs:
            raise ValueError(f"{self.directory}: a sweep without jobs; type its command again")
        self._refuse_links(self._unfinished(state))
        self._take_over()
        while any(self._is_at_work(job) for job in self._unfinished(self.read())):
            time.sleep(0.2)
        self._stop.unlink(missing_ok=True)
        with self.changing() as state:
            state.host, state.pid, state.finished = socket.gethostname(), os.getpid(), None
            jobs = self._unfinished(state)
            for job in jobs:
                job.error = (
                    "was finished, but its directory is gone" if self._is_lost(job) else None
                )
                job.status = "waiting"
        return jobs

    def end(self) -> None:
        """Write down the time; from here on another process may resume the sweep.

        A sweep without jobs is removed.
        """
        with self._dispatch_lock:
            if not self.read().jobs:
                self._remove()
                return
            with self.changing() as state:
                state.finished = now()

    def _remove(self) -> None:
        """Remove the files and directories that `begin` made."""
        if self._new_directories:
            shutil.rmtree(self.directory)
        locks = (self.directory / name for name in (_CHANGE_LOCK, HANDING_OUT))
        for path in (self._path, self._stop, *locks):
            path.unlink(missing_ok=True)
        remove_directories(self._new_directories)

    def _take_over(self) -> None:
        """Let this process alone hand out jobs, until `end`; ValueError if another one does."""
        self._dispatch_lock.close()
        try:
            lock = exclusive(self.directory / HANDING_OUT, wait=False)
            self._dispatch_lock.enter_context(lock)
        except BlockingIOError as error:
            raise ValueError(f"{self.directory}: another process is doing this sweep") from error

    def _is_at_work(self, job: SweepJob) -> bool:
        """Say whether a process of this machine does a job.

        The process id alone does not tell: another program may have got it since.
        """
        try:
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                locked(self.directory / job.directory),
            ):
                pass
        except ValueError:
            return job.is_alive
        return False

    def read(self) -> SweepState:
        """Return what sweep.json holds now; ValueError, in one line, if it is damaged."""
        return read_state(self._path)

    def job(self, directory: str) -> SweepJob:
        """Return the job of a run directory, which is relative to the directory of the sweep."""
        return self.read().jobs_in([directory])[0]

    @contextmanager
    def changing(self) -> Generator[SweepState]:
        """Lend the state to the context, which may change it, and write it afterwards."""
        with exclusive(self.directory / _CHANGE_LOCK):
            state = self.read()
            yield state
            self._write(state)

    def add(self, jobs: Sequence[SweepJob], files: Iterable[InputFile] = ()) -> None:
        """Add jobs, and copies of the files that they name.

        ValueError if two jobs would share a directory, or one would lie outside the sweep's.
        """
        with self.changing() as state:
            state.jobs += jobs
            for job in jobs:
                if not is_job_directory(job.directory):
                    expected = f"expected a directory of its own in {self.directory}"
                    raise ValueError(f"hydra.sweep.subdir={job.directory}: {expected}")
            self._refuse_links(jobs)
            if name := repeated_directory(state.jobs):
                raise ValueError(f"hydra.sweep.subdir={name}: expected another for every job")
            inputs.write(files, self.directory)

    def start(self, directory: str) -> SweepJob | None:
        """Mark a job as running in this process, and return it.

        None if the job is finished, or the sweep is to stop. A job is marked before the file that
        stops the sweep is looked for, and `stop` makes that file before it reads which jobs run:
        so every job either sees the file or is seen by `stop`.
        """
        with self.changing() as state:
            job = state.jobs_in([directory])[0]
            if job.status == "finished":
                return None
            job.status, job.error = "running", None
            job.host, job.pid = socket.gethostname(), os.getpid()
        if self.is_stopping:
            with self.changing() as state:
                state.jobs[state.jobs.index(job)].status = "waiting"
            return None
        return job

    def mark_ended(self, directory: str, outcome: Outcome) -> None:
        """Write down how a job ended."""
        with self.changing() as state:
            for job in state.jobs_in([directory]):
                job.status, job.error = outcome.status, outcome.error
                job.results = dict(outcome.results)

    def waiting(self, directories: Collection[str]) -> list[SweepJob]:
        """Return the jobs in these directories that no process has begun."""
        return [job for job in self.read().jobs_in(directories) if job.status == "waiting"]

    def mark_skipped(self, directories: Collection[str], cause: str) -> None:
        """Write down why no process begins the jobs in these directories that still wait."""
        with self.changing() as state:
            for job in state.jobs_in(directories):
                if job.status == "waiting":
                    job.error = cause

    def mark_dead(self, directories: Collection[str], cause: str) -> None:
        """Write down the end of jobs whose processes on this machine died before they could do it.

        Jobs in these directories that still run on this machine are waited for.
        """
        while any(job.is_alive for job in self.read().jobs_in(directories)):
            time.sleep(0.2)
        with self.changing() as state:
            for job in state.jobs_in(directories):
                if job.is_here:
                    job.status = "interrupted" if self.is_stopping else "failed"
                    job.error = None if self.is_stopping else cause

    def mark_failed(self, directory: str, cause: str) -> None:
        """Write down why a job failed or was not begun, unless it wrote itself how it ended."""
        with self.changing() as state:
            for job in state.jobs_in([directory]):
                if job.status in ("waiting", "running"):
                    job.error = cause
                if job.status == "running":
                    job.status = "interrupted" if self.is_stopping else "failed"

    @property
    def is_stopping(self) -> bool:
        """Whether no further job may start."""
        return self._stop.exists()

    def stop(self) -> list[int]:
        """Let no further job start; return the ids of other local processes that do one."""
        self._stop.touch()
        jobs = self.read().jobs
        return [job.pid for job in jobs if job.is_here and job.pid not in (None, os.getpid())]

    def _is_lost(self, job: SweepJob) -> bool:
        return job.status == "finished" and not (self.directory / job.directory).is_dir()

    def _unfinished(self, state: SweepState) -> list[SweepJob]:
        return [job for job in state.jobs if self._is_lost(job) or job.status != "finished"]

    def _refuse_links(self, jobs: Sequence[SweepJob]) -> None:
        """Raise ValueError if a link lies where the sweep or one of these jobs would write."""
        names = {job.directory.partition("/")[0] for job in jobs}
        refuse_links(self.directory, [*RESERVED, *sorted(names)])

    def _write(self, state: SweepState) -> None:
        text = to_text(state)
        write_atomically(self._path, lambda file: file.write(text.encode()))


_CHANGE_LOCK = ".lock"
"""The file that a process locks while it changes sweep.json."""


def holds_sweep(directory: Path) -> bool:
    """Say whether a sweep was begun in `directory`."""
    with suppress(OSError):
        return (directory / "sweep.json").exists()
    return False


def short_name(
    number: int, swept: Sequence[str], values: Mapping[str, str], groups: Sequence[str]
) -> str:
    """Return the number of a job and the values that it alone has, such as `3_dec_hdrqn,size=4`.

    `swept` are the keys in which jobs differ, `values` the job's overrides by key. A key is cut to
    its last part unless two keys share that; the option of one of the `groups` stands without key.
    """
    short_keys = [key.rpartition(".")[2] for key in swept]
    parts: list[str] = []
    for key, short_key in zip(swept, short_keys, strict=True):
        label = key if short_keys.count(short_key) > 1 else short_key
        value = values.get(key, "")
        parts.append(value if key in groups else f"{label}={value}")
    text = re.sub(r"[^\w.,=+-]+", "-", ",".join(parts))
    return f"{number}_{text}".encode()[:100].decode(errors="ignore").rstrip("_,")
