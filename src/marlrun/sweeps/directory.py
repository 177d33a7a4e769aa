"""The sweep directory: sweep.json says what every job is and how it stands.

Jobs may run in many processes, so whoever learns something writes it down at once, under a lock.
"""

import os
import re
import shutil
import socket
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from marlrun.runner import inputs
from marlrun.runner.documents import holds_run, locked, now
from marlrun.runner.outcome import Outcome
from marlrun.sweeps.record import OWN, Record, SweepJob, in_text, is_place, read, shared
from marlrun.system import commands
from marlrun.system.paths import make_directory, refuse_links, remove_directories
from marlrun.system.reading import InputFile
from marlrun.system.writing import exclusive, write_atomically


class Sweep:
    """A sweep directory; the file is read anew at every look, for others may have changed it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._path = directory / "sweep.json"
        self._stop = directory / ".stop"
        self._handing_out = ExitStack()
        self._made: list[Path] = []

    def begin(self, argv: Sequence[str], swept: Sequence[str], plugins: Sequence[str] = ()) -> None:
        """Write sweep.json, without jobs yet; `plugins` are those of the command line.

        ValueError if there is one with jobs, or a run, or if there can be no such directory.
        """
        if holds_run(self.directory):
            raise ValueError(
                f"hydra.sweep.dir={self.directory}: holds a run; expected another directory"
            )
        self._made = make_directory(self.directory, "hydra.sweep.dir")
        refuse_links(self.directory, OWN)
        self._refuse_jobs(plugins)
        self._take_over()
        self._refuse_jobs(plugins)  # Another process may have been faster.
        self._stop.unlink(missing_ok=True)
        here = (socket.gethostname(), os.getpid())
        try:
            self._write(Record([*argv], [*swept], *here, now(), None, []))
        except OSError:
            self._remove()
            raise

    def _refuse_jobs(self, plugins: Sequence[str]) -> None:
        if self._path.exists() and self.read().jobs:
            go_on = f"{commands.resume(self.directory, plugins)} goes on with it"
            raise ValueError(f"hydra.sweep.dir={self.directory}: holds a sweep already; {go_on}")

    def resume(self) -> list[SweepJob]:
        """Make this process the one that hands out jobs; return those that are not finished.

        Waits for those that a process which outlived the last one still works on. The error of a
        job says if it was finished and lost.
        """
        record = self.read()
        if not record.jobs:
            raise ValueError(f"{self.directory}: a sweep without jobs; type its command again")
        self._refuse_links(self._unfinished(record))
        self._take_over()
        while any(self._is_at_work(job) for job in self._unfinished(self.read())):
            time.sleep(0.2)
        self._stop.unlink(missing_ok=True)
        with self.changing() as record:
            record.host, record.pid, record.finished = socket.gethostname(), os.getpid(), None
            jobs = self._unfinished(record)
            for job in jobs:
                job.error = (
                    "was finished, but its directory is gone" if self._is_lost(job) else None
                )
                job.status = "waiting"
        return jobs

    def end(self) -> None:
        """Note the time; another process may resume the sweep from here on.

        Of a sweep without jobs nothing is left.
        """
        with self._handing_out:
            if not self.read().jobs:
                self._remove()
                return
            with self.changing() as record:
                record.finished = now()

    def _remove(self) -> None:
        """Remove what `begin` made."""
        if self._made:
            shutil.rmtree(self.directory)
        for path in (self._path, self._stop, *(self.directory / name for name in _LOCKS)):
            path.unlink(missing_ok=True)
        remove_directories(self._made)

    def _take_over(self) -> None:
        """Hand out the jobs until `end` or this process ends; ValueError if another one does."""
        self._handing_out.close()
        try:
            self._handing_out.enter_context(exclusive(self.directory / _LOCKS[1], wait=False))
        except BlockingIOError as error:
            raise ValueError(f"{self.directory}: another process is doing this sweep") from error

    def _is_at_work(self, job: SweepJob) -> bool:
        """Say whether a process of this machine trains a job; its pid alone may be another's."""
        try:
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                locked(self.directory / job.directory),
            ):
                pass
        except ValueError:
            return job.is_alive
        return False

    def read(self) -> Record:
        """Return the record; ValueError, in one line, if it is damaged."""
        return read(self._path)

    def job(self, directory: str) -> SweepJob:
        """Return the job of a run directory, relative to the sweep's."""
        return next(job for job in self.read().jobs if job.directory == directory)

    @contextmanager
    def changing(self) -> Generator[Record]:
        """Lend the record, and write it back."""
        with exclusive(self.directory / _LOCKS[0]):
            record = self.read()
            yield record
            self._write(record)

    def add(self, jobs: Sequence[SweepJob], files: Iterable[InputFile] = ()) -> None:
        """Add jobs, and copies of the files that they name.

        ValueError if two would share a directory, or one is not in the sweep's.
        """
        with self.changing() as record:
            record.jobs += jobs
            for job in jobs:
                if not is_place(job.directory):
                    expected = f"expected a directory of its own in {self.directory}"
                    raise ValueError(f"hydra.sweep.subdir={job.directory}: {expected}")
            self._refuse_links(jobs)
            if twice := shared(record.jobs):
                raise ValueError(f"hydra.sweep.subdir={twice}: expected another for every job")
            inputs.write(files, self.directory)

    def start(self, directory: str) -> SweepJob | None:
        """Note that a job runs in this process and return it; None if it is not to run (any more).

        The note comes before the look at the stop mark, and `stop` does it the other way round: so
        none is missed.
        """
        with self.changing() as record:
            job = next(job for job in record.jobs if job.directory == directory)
            if job.status == "finished":
                return None
            job.status, job.error = "running", None
            job.host, job.pid = socket.gethostname(), os.getpid()
        if self.is_stopping:
            with self.changing() as record:
                record.jobs[record.jobs.index(job)].status = "waiting"
            return None
        return job

    def settle(self, directory: str, outcome: Outcome) -> None:
        """Note how a job ended."""
        with self.changing() as record:
            for job in record.jobs:
                if job.directory == directory:
                    job.status, job.error = outcome.status, outcome.error
                    job.results = dict(outcome.results)

    def waiting(self, directories: Sequence[str]) -> list[SweepJob]:
        """Return those of these jobs that nothing has begun."""
        jobs = [job for job in self.read().jobs if job.directory in directories]
        return [job for job in jobs if job.status == "waiting"]

    def leave(self, directories: Sequence[str], cause: str) -> None:
        """Note why nothing begins those of these jobs that wait."""
        with self.changing() as record:
            for job in record.jobs:
                if job.directory in directories and job.status == "waiting":
                    job.error = cause

    def bury(self, directories: Sequence[str], cause: str) -> None:
        """Settle those of these jobs that ran on this machine and never said how they ended.

        Waits for those that still run here.
        """
        while any(job.is_alive for job in self.read().jobs if job.directory in directories):
            time.sleep(0.2)
        with self.changing() as record:
            for job in record.jobs:
                if job.directory in directories and job.is_here:
                    job.status = "interrupted" if self.is_stopping else "failed"
                    job.error = None if self.is_stopping else cause

    def fail(self, directory: str, cause: str) -> None:
        """Note why a job that could not say it itself has failed, or was not begun."""
        with self.changing() as record:
            for job in record.jobs:
                if job.directory == directory and job.status in ("waiting", "running"):
                    job.error = cause
                    if job.status == "running":
                        job.status = "interrupted" if self.is_stopping else "failed"

    @property
    def is_stopping(self) -> bool:
        """Whether no further job is to start."""
        return self._stop.exists()

    def stop(self) -> list[int]:
        """Let no further job start; return the other processes of this machine that run one."""
        self._stop.touch()
        jobs = self.read().jobs
        return [job.pid for job in jobs if job.is_here and job.pid not in (None, os.getpid())]

    def _is_lost(self, job: SweepJob) -> bool:
        return job.status == "finished" and not (self.directory / job.directory).is_dir()

    def _unfinished(self, record: Record) -> list[SweepJob]:
        return [job for job in record.jobs if self._is_lost(job) or job.status != "finished"]

    def _refuse_links(self, jobs: Sequence[SweepJob]) -> None:
        """Raise ValueError if a link lies where the sweep or one of these jobs would write."""
        tops = {job.directory.partition("/")[0] for job in jobs}
        refuse_links(self.directory, [*OWN, *sorted(tops)])

    def _write(self, record: Record) -> None:
        text = in_text(record)
        write_atomically(self._path, lambda file: file.write(text.encode()))


_LOCKS = (".lock", ".handing_out")
"""Files that are held while somebody changes sweep.json, and while somebody hands out jobs."""


def holds_sweep(directory: Path) -> bool:
    """Say whether a sweep was begun in `directory`."""
    with suppress(OSError):
        return (directory / "sweep.json").exists()
    return False


def short_name(
    number: int, swept: Sequence[str], values: Mapping[str, str], groups: Sequence[str]
) -> str:
    """Return a job's number and what makes it differ, such as `3_dec_hdrqn,size=4`.

    `values` are the job's overrides by key. The value of one of the `groups` speaks for itself, as
    does the last part of a key unless two share it.
    """
    last = [key.rpartition(".")[2] for key in swept]
    parts: list[str] = []
    for key in swept:
        short = key.rpartition(".")[2]
        label = key if last.count(short) > 1 else short
        value = values.get(key, "")
        parts.append(value if key in groups else f"{label}={value}")
    text = re.sub(r"[^\w.,=+-]+", "-", ",".join(parts))
    return f"{number}_{text}".encode()[:100].decode(errors="ignore").rstrip("_,")
