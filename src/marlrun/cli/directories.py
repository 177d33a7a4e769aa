"""The directories of runs that are typed: `run=DIR`, `run=latest`, `agents.NAME=DIR`."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from marlrun.config.schema import show
from marlrun.runner.documents import holds_run
from marlrun.system.paths import expand_home, is_directory

if TYPE_CHECKING:
    from marlrun.runner.listing import Run


def existing_run(path: str | PathLike[str], key: str = "run") -> Path:
    """Return the directory of a run that `key` names.

    Nothing here imports torch, so that a slip is answered at once.
    """
    from marlrun.sweeps.directory import holds_sweep

    directory = Path(path)
    if not is_directory(directory):
        raise ValueError(f"{key}={path}: no such directory")
    if holds_sweep(directory):
        raise ValueError(f"{key}={path}: a sweep; expected one of its jobs' directories")
    if not holds_run(directory):
        raise ValueError(f"{key}={path}: expected a run directory, this one has no config.yaml")
    return directory


def checkpoint_of(name: str, value: object) -> tuple[Path, str]:
    """Return the run, and its checkpoint, that `agents.NAME=RUN` or `agents.NAME=FILE.pt` names."""
    key = f"agents.{name}"
    if not isinstance(value, str) or not value:
        expected = "expected a run's directory, or RUN/checkpoints/FILE.pt"
        raise ValueError(f"{key}={show(value)}: {expected}")
    path = Path(expand_home(value, key))
    if path.suffix == ".pt":
        return existing_run(str(path.parent.parent), key), str(path)
    return existing_run(str(path), key), "best"


def newest_to_measure() -> Path:
    """Return the run that began last of those that have a checkpoint."""
    return _newest("run with a checkpoint", lambda run: run.has_checkpoint).path


def newest_to_resume() -> Path:
    """Return the run that began last of those not finished, or the sweep that it is a job of."""
    run = _newest("unfinished run or sweep", lambda run: run.is_unfinished)
    return run.sweep or run.path


def _newest(description: str, fits: "Callable[[Run], bool]") -> "Run":
    from marlrun.runner.listing import OUTPUTS, runs

    all_runs = runs(OUTPUTS) if is_directory(Path(OUTPUTS)) else []
    for run in filter(fits, all_runs):
        return run
    hint = "a directory of this name is typed ./latest"
    raise ValueError(f"run=latest: no {description} below {OUTPUTS}/; {hint}")
