"""A job of a sweep, in whatever process it was given to."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType

from marlrun.files import appending
from marlrun.output import forgiving, say
from marlrun.runner.outcome import Outcome, attempt
from marlrun.runner.rundir import holds_run
from marlrun.runner.signals import Stop
from marlrun.runner.sweepdir import Sweep
from marlrun.runner.sweepfile import SweepJob


def work(sweep: Path, directory: str, plugins: Sequence[str]) -> None:
    """Do the job of `directory`, relative to `sweep`, unless it is done; go on where it was begun.

    How it ends is written to sweep.json. `plugins` are those of the command line.
    """
    record = Sweep(sweep)
    job = record.start(directory)
    if job is None:
        return
    whole = record.read()
    if (job.host, job.pid) == (whole.host, whole.pid):
        outcome = _train(job, sweep, plugins)
        record.settle(directory, outcome)
        if outcome.status == "interrupted":
            record.stop()
        return
    where = sweep / directory
    with _saved_first(), _parent_watched(whole.pid) as is_orphan:
        with _quiet(where):
            outcome = _train(job, sweep, plugins)
            record.settle(directory, outcome)
        say(f"job {job.number} {outcome.status}  {outcome.error or ''}".rstrip())
    if is_orphan():
        # What handed out the jobs is gone; a worker would take the next from its queue.
        os._exit(1)


def _train(job: SweepJob, sweep: Path, plugins: Sequence[str]) -> Outcome:
    directory = sweep / job.directory
    with Stop() as early:
        from marlrun.runner import train  # imports torch, which takes a while
    if early.requested:
        return Outcome("interrupted", directory)

    def run() -> Outcome:
        if holds_run(directory):
            return train.resume(directory, None, plugins)
        config = job.config | {"plugins": list(plugins)}
        return train.train(config, directory, ["marlrun", *job.overrides], sweep)

    directory.mkdir(parents=True, exist_ok=True)
    return attempt(run, directory)


@contextmanager
def _quiet(directory: Path) -> Generator[None]:
    """Send what the job says to its own log, which takes what the disk does."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        appending(directory / "marlrun.log") as file,
        forgiving(file.fileno()) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield


@contextmanager
def _saved_first() -> Generator[None]:
    """Meanwhile, stop as by SIGTERM where a signal would make submitit requeue the job; then obey.

    submitit alone would take away all work since the last checkpoint.
    """
    requeue = signal.getsignal(signal.SIGUSR2) if hasattr(signal, "SIGUSR2") else None
    if not callable(requeue):
        yield
        return
    is_due = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if not isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), Stop):
            requeue(number, frame)  # there is nothing to save yet
        is_due.set()
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGUSR2, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, requeue)
        if is_due.is_set():
            requeue(signal.SIGUSR2, None)


@contextmanager
def _parent_watched(parent: int) -> Generator[Callable[[], bool]]:
    """Meanwhile, if this process is a child of `parent` and that dies, stop as by SIGTERM.

    Lends a look at whether it died. Processes of a cluster have other parents, and their masters.
    """
    ended = threading.Event()

    def is_orphan() -> bool:
        return is_child and os.getppid() != parent

    def watch() -> None:
        while not ended.wait(0.5):
            if is_orphan():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    is_child = os.getppid() == parent
    if is_child:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield is_orphan
    finally:
        ended.set()
