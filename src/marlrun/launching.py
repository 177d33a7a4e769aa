"""Sweeps: what a sweeper of Hydra's asks for is written down, then done by a launcher of Hydra's.

A launcher composes a job's configuration where and when the job runs, so an edit of conf/ would
change jobs that have not begun, and it knows nothing of what it started if it dies. Here a batch
is composed before its first job starts, sweep.json keeps it, and the launcher is told no more than
whose turn it is. With cli.py, overrides.py and composed.py the only module that knows Hydra.
"""

import copy
import logging
import os
import signal
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from marlrun.composed import job_config
from marlrun.runner.console import say
from marlrun.runner.outcome import Outcome, one_line
from marlrun.runner.sweepdir import Sweep, SweepJob, short_name
from marlrun.runner.sweepjob import work

_PLACE = "hydra.sweep.subdir="


def run_sweep(
    hydra: Hydra,
    root: str,
    overrides: Sequence[str],
    argv: Sequence[str],
    swept: Sequence[str],
    groups: Sequence[str],
) -> Sweep:
    """Do the jobs that the sweeper asks for, until it has enough or is interrupted.

    `swept` are the keys with several values, `groups` those whose choice a run's record names.
    ValueError before anything starts if the directory holds a sweep.
    """
    name_of = partial(_job_name, swept=swept, groups=groups)
    OmegaConf.register_new_resolver("job_name", name_of, replace=True)
    cfg = _compose(hydra, root, overrides, swept)
    directory = Path(cfg.hydra.sweep.dir)
    cfg.hydra.sweep.dir = str(directory.absolute())
    sweep = Sweep(directory)
    sweep.begin(argv, swept)
    callbacks = Callbacks(cfg)
    context = HydraContext(hydra.config_loader, callbacks)
    callbacks.on_multirun_start(config=cfg, config_name=root)
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=_task(cfg), config=cfg
    )
    _record(sweeper, sweep, context, cfg, groups)
    try:
        sweeper.sweep(arguments=list(cfg.hydra.overrides.task))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if not sweep.read().jobs:
            raise
        name = cfg.hydra.runtime.choices["hydra/sweeper"]
        say(f"marlrun: hydra/sweeper={name}: {type(error).__name__}: {one_line(error)}")
    finally:
        sweep.end()
    callbacks.on_multirun_end(config=cfg, config_name=root)
    return sweep


def resume_sweep(hydra: Hydra, root: str, overrides: Sequence[str], directory: Path) -> list[str]:
    """Do the jobs of a sweep that are not finished; return their directories."""
    sweep = Sweep(directory)
    jobs = sweep.resume()
    if jobs:
        cfg = _compose(hydra, root, overrides)
        cfg.hydra.sweep.dir = str(directory.absolute())
        context, task = HydraContext(hydra.config_loader, Callbacks(cfg)), _task(cfg)
        launcher = Plugins.instance().instantiate_launcher(context, task, cfg)
        _Handing(launcher, context, cfg)(sweep, jobs)
    sweep.end()
    return [job.directory for job in jobs]


def _compose(
    hydra: Hydra, root: str, overrides: Sequence[str], swept: Sequence[str] = ()
) -> DictConfig:
    """Return what the jobs of a sweep share."""

    def is_late(override: str) -> bool:
        """Say whether it sets a key of a group that is swept: no file has it yet."""
        return any(override.lstrip("+").startswith(f"{key}.") for key in swept)

    cfg = hydra.compose_config(
        config_name=root,
        overrides=[*(one for one in overrides if not is_late(one)), "hydra.mode=MULTIRUN"],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=True,
    )
    shared = cfg.hydra.overrides.task
    cfg.hydra.overrides.task = [one for one in overrides if one in shared or is_late(one)]
    _amend(cfg)
    return cfg


def _amend(cfg: DictConfig) -> None:
    """Change defaults of plugins that are wrong here, unless they were typed."""
    choices, typed = cfg.hydra.runtime.choices, " ".join(cfg.hydra.overrides.hydra)
    if choices["hydra/sweeper"] == "optuna":
        logging.getLogger("alembic").setLevel(logging.WARNING)
        # Objectives are returns, and a failed job must not stop the others.
        for key, value in {"direction": "maximize", "max_failure_rate": 1.0}.items():
            if f"hydra.sweeper.{key}=" not in typed:
                cfg.hydra.sweeper[key] = value
    if choices["hydra/launcher"] == "ray":
        # Ray keeps lines to itself that look alike; all jobs end by such a line.
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        # The launcher would give a cluster that runs already a size, which Ray refuses.
        init = cfg.hydra.launcher.ray.init
        with open_dict(init):
            init.setdefault("object_store_memory", None)


def _job_name(swept: Sequence[str], groups: Sequence[str]) -> str:
    """Return the name of the job that is being composed."""
    hydra = HydraConfig.get()
    typed = (override.partition("=") for override in hydra.overrides.task)
    values = {key.lstrip("+"): value for key, _, value in typed}
    return short_name(hydra.job.num, swept, values, groups)


def _task(cfg: DictConfig) -> TaskFunction:
    # Plugins that a stored configuration names count for nothing.
    return partial(_do, plugins=list(cfg.plugins))


def _do(cfg: DictConfig, plugins: Sequence[str]) -> None:
    """Do the job that a launcher says is next."""
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir)
    with suppress(ValueError):
        sweep = sweep.relative_to(Path.cwd())
    work(sweep, hydra.sweep.subdir, plugins)


class _Handing:
    """Hands jobs to a launcher, and sees to it that none is lost."""

    def __init__(self, launcher: Launcher, context: HydraContext, cfg: DictConfig):
        self._launcher = launcher
        self._name = cfg.hydra.runtime.choices["hydra/launcher"]
        loader = cast(ConfigLoader, _JobLoader())
        launcher.setup(
            hydra_context=HydraContext(loader, context.callbacks),
            task_function=_task(cfg),
            config=cfg,
        )

    def __call__(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
        """Do these jobs; what became of each stands in sweep.json.

        When a launcher breaks down, the jobs that ran have failed, and it is given the rest.
        """
        with _forwarding_signals(sweep):
            while jobs:
                self._launch(sweep, jobs)
                before, jobs = jobs, sweep.waiting([job.directory for job in jobs])
                if sweep.is_stopping or len(jobs) == len(before):
                    break

    def _launch(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
        told = [[*job.overrides, f"{_PLACE}{job.directory}"] for job in jobs]
        try:
            self._launcher.launch(told, initial_job_idx=jobs[0].number)
        except (KeyboardInterrupt, SystemExit):
            _stop(sweep)
        except Exception as error:
            say(f"marlrun: hydra/launcher={self._name}: {type(error).__name__}: {one_line(error)}")
        sweep.bury([job.directory for job in jobs], "its process died")


class _JobLoader:
    """Where a launcher loads a job's configuration from: sweep.json, in Hydra's clothes."""

    def load_sweep_config(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        """Return the configuration of the job whose directory the last override names."""
        *task, place = overrides
        job = Sweep(Path(master.hydra.sweep.dir)).job(place.removeprefix(_PLACE))
        cfg = OmegaConf.create(job.config)
        with open_dict(cfg):
            cfg.hydra = copy.deepcopy(master.hydra)
            cfg.hydra.overrides.task = task
            cfg.hydra.runtime.choices.update(job.config.get("choices", {}))
            cfg.hydra.sweep.subdir = job.directory
        return cfg


@contextmanager
def _forwarding_signals(sweep: Sweep) -> Generator[None]:
    """Meanwhile, Ctrl-C and SIGTERM stop every job gently; a second one stops this process."""

    def handle(number: int, frame: FrameType | None) -> None:
        if sweep.is_stopping:
            raise KeyboardInterrupt
        _stop(sweep)

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


def _stop(sweep: Sweep) -> None:
    for pid in sweep.stop():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _record(
    sweeper: Sweeper,
    sweep: Sweep,
    context: HydraContext,
    cfg: DictConfig,
    groups: Sequence[str],
) -> None:
    """Put a recorder in the place of a sweeper's launcher."""
    # A sweeper keeps it in itself, or in an implementation that it imports late.
    holder: Any = getattr(sweeper, "sweeper", sweeper)
    hand_out = _Handing(holder.launcher, context, cfg)
    searches = not isinstance(sweeper, BasicSweeper)
    holder.validate_batch_is_legal = _trust
    holder.launcher = _Recorder(sweep, hand_out, context, cfg, groups, searches)


def _trust(batch: object) -> None:
    """Take the place of a sweeper's test composition of all jobs: the recorder does it too."""


class _Recorder(Launcher):
    """A launcher that writes down a batch, lets another do it, and says what came of it."""

    def __init__(
        self,
        sweep: Sweep,
        hand_out: _Handing,
        context: HydraContext,
        cfg: DictConfig,
        groups: Iterable[str],
        searches: bool,
    ):
        self._sweep, self._hand_out = sweep, hand_out
        self._context, self._cfg, self._groups = context, cfg, groups
        self._searches = searches

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Do nothing: all is known."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Do a batch of jobs; KeyboardInterrupt if the sweep is to end."""
        numbered = enumerate(job_overrides, start=initial_job_idx)
        jobs = [self._composed(number, list(overrides)) for number, overrides in numbered]
        self._sweep.add(jobs)
        self._hand_out(self._sweep, jobs)
        if self._sweep.is_stopping:
            raise KeyboardInterrupt
        return [self._returned(job) for job in self._sweep.read().jobs[initial_job_idx:]]

    def _composed(self, number: int, overrides: list[str]) -> SweepJob:
        """Return a job with its configuration, resolved once and for all."""
        cfg = self._context.config_loader.load_sweep_config(self._cfg, overrides)
        with open_dict(cfg):
            cfg.hydra.job.num = number
        HydraConfig.instance().set_config(cfg)
        directory = str(cfg.hydra.sweep.subdir)
        return SweepJob(number, overrides, directory, job_config(cfg, self._groups))

    def _returned(self, job: SweepJob) -> JobReturn:
        """Return what the sweeper hears of a job: its objective, or why there is none.

        A sweeper that does not search would stop the others at a failure.
        """
        if not self._searches:
            return JobReturn(job.overrides, status=JobStatus.COMPLETED)
        tag = str(self._cfg.objective)
        if tag in job.results:
            value = fmean(job.results[tag])
            return JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=value)
        cause = job.error or f"objective={tag}: expected one of {', '.join(job.results)}"
        if job.status == "finished":
            self._sweep.settle(job.directory, Outcome("failed", None, job.results, cause))
        return _Failed(job.overrides, _return_value=ValueError(f"job {job.number}: {cause}"))


class _Failed(JobReturn):
    """A job without an objective; unlike Hydra's, it says so by its exception alone."""

    @property
    def return_value(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Raise the reason."""
        raise self._return_value
