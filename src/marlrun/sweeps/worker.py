"""Does one job of a sweep, in the process of the sweep or in any other."""

import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType

from marlrun.runner.documents import holds_run
from marlrun.runner.outcome import Outcome, attempt, open_log
from marlrun.sweeps.directory import Sweep
from marlrun.sweeps.state import SweepJob
from marlrun.system.output import forgiving, say
from marlrun.system.signals import Stop


def work(top: Path, directory: str, plugins: Sequence[str]) -> None:
    """Do a job, or go on with it, unless it is finished, and write to sweep.json how it ends.

    `directory` is that of the job, relative to `top`, which is that of the sweep. `plugins` are
    those of the command line.
    """
    sweep = Sweep(top)
    job = sweep.start(directory)
    if job is None:
        return
    state = sweep.read()
    if (job.host, job.pid) == (state.host, state.pid):
        outcome = _train(job, top, plugins)
        sweep.mark_ended(directory, outcome)
        if outcome.status == "interrupted":
            sweep.stop()
        return
    with _saved_first():
        with _quiet(top / directory):
            outcome = _train(job, top, plugins)
            sweep.mark_ended(directory, outcome)
        say(f"job {job.number} {outcome.status}  {outcome.error or ''}".rstrip())


def _train(job: SweepJob, top: Path, plugins: Sequence[str]) -> Outcome:
    directory = top / job.directory
    with Stop() as stop:
        from marlrun.runner import train  # imports torch, which takes a while
    if stop.requested:
        return Outcome("interrupted", directory)

    def run() -> Outcome:
        if holds_run(directory):
            return train.resume(directory, None, plugins, brief=True)
        config = job.config | {"plugins": list(plugins)}
        return train.train(config, directory, ["marlrun", *job.overrides], top)

    directory.mkdir(parents=True, exist_ok=True)
    return attempt(run, directory)


@contextmanager
def _quiet(directory: Path) -> Generator[None]:
    """Send the output of the job to marlrun.log in its directory; a full disk stops nothing."""
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
    """Let the job save and stop, as at SIGTERM, when submitit signals that it will be requeued.

    Without this, the work since the last checkpoint would be lost.
    """
    requeue = signal.getsignal(signal.SIGUSR2) if hasattr(signal, "SIGUSR2") else None
    if not callable(requeue):
        yield
        return
    is_due = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if not isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), Stop):
            requeue(number, frame)  # no Stop is entered, so there is nothing to save
        is_due.set()
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGUSR2, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, requeue)
        if is_due.is_set():
            requeue(signal.SIGUSR2, None)
