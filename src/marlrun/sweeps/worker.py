"""A job of a sweep, in whatever process it was given to."""

import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType

from marlrun.runner.documents import holds_run
from marlrun.runner.outcome import Outcome, attempt, open_log
from marlrun.sweeps.directory import Sweep
from marlrun.sweeps.record import SweepJob
from marlrun.system.output import forgiving, say
from marlrun.system.signals import Stop


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
    with _saved_first():
        with _quiet(where):
            outcome = _train(job, sweep, plugins)
            record.settle(directory, outcome)
        say(f"job {job.number} {outcome.status}  {outcome.error or ''}".rstrip())


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
    """Send what the job says to its own log; what the disk cannot take is dropped."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        open_log(directory) as file,
        forgiving(file.fileno()) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield


@contextmanager
def _saved_first() -> Generator[None]:
    """Within the context, the signal by which submitit requeues a job first stops it as SIGTERM does.

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
