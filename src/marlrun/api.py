"""Python's door: `marlrun.load`, `marlrun.train` and `marlrun.runs`, imported when they are used.

Wrong input raises a ValueError with the text that the command line would write.
"""

from collections.abc import Sequence
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from marlrun.cli.directories import existing_run
from marlrun.config.plugins import import_plugins
from marlrun.config.schema import Rule, declared
from marlrun.runner import listing
from marlrun.runner.listing import Run
from marlrun.sweeps.directory import Sweep, holds_sweep
from marlrun.system.output import silence
from marlrun.system.paths import expand_home

if TYPE_CHECKING:
    from marlrun.runner.trained_policy import TrainedPolicy
    from marlrun.sweeps.state import SweepJob


def load(
    run: str | PathLike[str] | Run,
    checkpoint: str | PathLike[str] = "best",
    replica: int = 0,
    seed: int | None = None,
    plugins: Sequence[str] = (),
    device: Literal["auto", "cpu", "cuda"] = "cpu",
) -> "TrainedPolicy":
    """Return the policy that one replica of a run has learned.

    `checkpoint` is `best`, `latest` or a file. `seed` decides the random numbers of the actions, as
    in mode=eval; None = the replica's own seed. `plugins` are packages whose classes the run may
    use: code of others runs only if they are named here. ValueError, in one line, if the directory
    holds no run, or if the run has no such checkpoint or replica.
    """
    path = _plain(run.path if isinstance(run, Run) else run)
    settings: dict[str, Any] = {
        "checkpoint": _plain(checkpoint),
        "replica": _plain(replica),
        "seed": _plain(seed),
        "plugins": list(plugins) if isinstance(plugins, tuple) else plugins,
        "device": device,
    }
    schema = declared("eval")
    schema.rules["run"] = Rule("path", "the run's directory", "")
    schema.rules["replica"] = Rule("int [0, inf)", "the place of its seed among the run's", 0)
    for key, value in {"run": path, **settings}.items():
        schema.check(key, value, is_final=True)

    directory = existing_run(expand_home(path, "run"))
    import_plugins(settings["plugins"])
    from marlrun.runner.trained_policy import load_policy

    with silence():
        return load_policy(directory, **settings)


def _plain(value: Any) -> Any:
    """Return a path as text, and a whole number of numpy's as an int; anything else as it is."""
    if isinstance(value, PathLike):
        return fspath(cast("PathLike[str]", value))
    if isinstance(value, bool) or not isinstance(value, Integral):
        return value
    return int(cast(int, value))


@overload
def train(flag: Literal["-m", "--multirun"], /, *words: str) -> list[Path]: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def train(*words: str) -> Path: ...
def train(*words: str) -> Path | list[Path]:
    """Train as `marlrun WORD ..` does; return the run's directory, of a sweep those of its jobs.

    `train("algo=random", "env=matrix_game")` begins a run, `train("mode=resume", "run=DIR")` goes on
    with one. Progress and results are written as by the command line. ValueError for wrong input,
    RuntimeError if the run or a job of the sweep fails, KeyboardInterrupt if it is interrupted; what
    was saved until then can be resumed.
    """
    for word in words:
        if not isinstance(word, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{word!r}: expected words as on the command line, 'KEY=VALUE'")
        key, _, value = word.lstrip("+").partition("=")
        if key == "mode" and value not in ("train", "resume"):
            raise ValueError(f"{word}: expected mode=train or mode=resume in marlrun.train")

    from marlrun.cli.embedded import embedded
    from marlrun.cli.main import run_command
    from marlrun.runner.device import settings_kept

    with embedded(), settings_kept():
        outcome = run_command(list(words))
    directory = outcome.directory
    is_sweep = directory is not None and holds_sweep(directory)
    jobs = Sweep(directory).read().jobs if directory is not None and is_sweep else []
    if outcome.status != "finished":
        text = outcome.error or _unfinished(jobs) or f"{outcome.status}, see {directory}"
        raise _EXCEPTIONS[outcome.status](text)
    if directory is None:
        raise ValueError(f"{' '.join(words)}: expected the words of a command that trains")
    if is_sweep:
        return [(directory / job.directory).absolute() for job in jobs]
    return directory.absolute()


_EXCEPTIONS: dict[str, type[BaseException]] = {
    "refused": ValueError,
    "failed": RuntimeError,
    "interrupted": KeyboardInterrupt,
}


def _unfinished(jobs: "Sequence[SweepJob]") -> str:
    """Return how many jobs of a sweep are not finished, and why the first is not; "" for none."""
    unfinished = [job for job in jobs if job.status != "finished"]
    if not unfinished:
        return ""
    first = unfinished[0]
    reason = f"{first.directory}: {first.error or first.status}"
    return f"{len(unfinished)} of {len(jobs)} jobs are not finished; {reason}"


def runs(directory: str | PathLike[str] = "outputs") -> list[Run]:
    """Return all runs in or below a directory, those of sweeps too, the newest start first.

    `load` takes each. ValueError if there is no such directory.
    """
    text = _plain(directory)
    declared("runs").check("dir", text, is_final=True)
    return listing.runs(Path(expand_home(text, "dir")))
