"""Sweeps: jobs that one of Hydra's sweepers asks for are written down before a launcher gets them.

Hydra composes the configuration of a job where and when the job runs, so an edit of conf/ would
change jobs that have not begun, and what ran would be unknown after a crash. Here a batch is
composed before its first job starts, and sweep.json keeps it.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import filterfalse
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from marlrun.config.composition import job_config, name_directory, refuse_output_subdir
from marlrun.config.plugins import import_plugins
from marlrun.runner import inputs
from marlrun.runner.outcome import Status
from marlrun.sweeps.directory import Sweep, short_name
from marlrun.sweeps.launcher import Dispatcher, task_of
from marlrun.sweeps.state import SweepJob
from marlrun.system.errors import with_type
from marlrun.system.output import say
from marlrun.system.reading import InputFile
from marlrun.system.signals import Interrupt, handling

_MANY = 50
"""A batch of more jobs takes so long to compose that a line announces it."""


@handling(Interrupt("marlrun"))
def run_sweep(
    hydra: Hydra,
    root: str,
    overrides: Sequence[str],
    argv: Sequence[str],
    swept: Sequence[str],
    groups: Sequence[str],
) -> tuple[Sweep, Status]:
    """Do the jobs that the sweeper asks for; return the sweep and how the sweeper ended.

    `swept` are the keys with several values, `groups` those of which a stored configuration names
    the options. ValueError before any job starts if the directory holds a sweep.
    KeyboardInterrupt if Ctrl-C or SIGTERM comes before there is a job.
    """
    name_of = partial(_job_name, swept=swept, groups=groups)
    OmegaConf.register_new_resolver("job_name", name_of, replace=True)
    _set_defaults()
    cfg = _compose(hydra, root, overrides, swept, groups)
    directory = name_directory(cfg, "hydra.sweep.dir")
    cfg.hydra.sweep.dir = _absolute(directory)
    sweep = Sweep(directory)
    sweep.begin(argv, swept, list(cfg.plugins))
    try:
        callbacks = Callbacks(cfg)
        context = HydraContext(hydra.config_loader, callbacks)
        callbacks.on_multirun_start(config=cfg, config_name=root)
        sweeper_status = _search(_instantiate_sweeper(sweep, context, cfg, groups), sweep, cfg)
    finally:
        sweep.end()
    callbacks.on_multirun_end(config=cfg, config_name=root)
    return sweep, sweeper_status


def _search(sweeper: Sweeper, sweep: Sweep, cfg: DictConfig) -> Status:
    """Let the sweeper ask for jobs until it needs no more; return how it ended.

    An exception is raised if there is no job yet, and an OSError, as of a full disk, always.
    """
    try:
        sweeper.sweep(arguments=_raw(cfg.hydra.overrides.task))
    except KeyboardInterrupt:
        if not sweep.read().jobs:
            raise
        sweep.stop()
        return "interrupted"
    except Exception as error:
        if isinstance(error, OSError) or not sweep.read().jobs:
            raise
        name = cfg.hydra.runtime.choices["hydra/sweeper"]
        say(f"marlrun: hydra/sweeper={name}: {with_type(error)}")
        return "failed"
    return "finished"


@handling(Interrupt("marlrun"))
def resume_sweep(hydra: Hydra, root: str, overrides: Sequence[str], directory: Path) -> list[str]:
    """Do the jobs of a sweep that are not finished; return their directories."""
    cfg = _compose(hydra, root, overrides)
    cfg.hydra.sweep.dir = _absolute(directory)
    context, task = HydraContext(hydra.config_loader, Callbacks(cfg)), task_of(cfg)
    launcher = Plugins.instance().instantiate_launcher(context, task, cfg)
    dispatcher = Dispatcher(launcher, context, cfg)
    sweep = Sweep(directory)
    jobs = sweep.resume()
    for job in jobs:
        if job.error:
            say(f"marlrun: {directory / job.directory}: {job.error}; it is done again")
    if jobs:
        dispatcher.dispatch(sweep, jobs)
    sweep.end()
    return [job.directory for job in jobs]


def _compose(
    hydra: Hydra,
    root: str,
    overrides: Sequence[str],
    swept: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> DictConfig:
    """Return the configuration that the jobs of a sweep share."""
    fixed_keys = {override.partition("=")[0].lstrip("+") for override in overrides} - {*swept}
    open_groups = tuple(f"{group}." for group in {*swept, *groups} - fixed_keys)

    def is_for_jobs(override: str) -> bool:
        """Say whether an override sets a key of a group whose option only a job chooses."""
        return override.lstrip("+").startswith(open_groups)

    cfg = hydra.compose_config(
        config_name=root,
        overrides=[*filterfalse(is_for_jobs, overrides), "hydra.mode=MULTIRUN"],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=True,
    )
    refuse_output_subdir(cfg)
    import_plugins(cfg.plugins)
    composed = _raw(cfg.hydra.overrides.task)
    cfg.hydra.overrides.task = [
        override for override in overrides if override in composed or is_for_jobs(override)
    ]
    _amend(cfg)
    return cfg


def _absolute(directory: Path) -> str:
    """Return the absolute path of a sweep; ValueError if Hydra would interpolate it."""
    text = str(directory.absolute())
    if "${" in text:
        raise ValueError(f"hydra.sweep.dir={text}: expected a path without ${{")
    return text


def _raw(overrides: Any) -> list[str]:
    """Return overrides in Hydra's configuration as they were typed, not interpolated."""
    return cast(list[str], OmegaConf.to_container(overrides, resolve=False))


def _set_defaults() -> None:
    """Change defaults of plugins that do not suit us; files and the user may change them again."""
    store = ConfigStore.instance()
    if "optuna.yaml" in store.list("hydra/sweeper"):
        logging.getLogger("alembic").setLevel(logging.WARNING)
        node = store.load("hydra/sweeper/optuna.yaml").node
        # Objectives are returns, and a failed job must not stop the others.
        node.direction, node.max_failure_rate = "maximize", 1.0
        store.store(group="hydra/sweeper", name="optuna", node=node, provider="optuna_sweeper")


def _amend(cfg: DictConfig) -> None:
    """Change settings that would keep a launcher from working."""
    if cfg.hydra.runtime.choices["hydra/launcher"] == "ray":
        # Ray drops lines that resemble each other, as the last lines of jobs do.
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        # The launcher would set the memory of a cluster that runs already, which Ray refuses.
        init = cfg.hydra.launcher.ray.init
        with open_dict(init):
            init.setdefault("object_store_memory", None)


def _job_name(swept: Sequence[str], groups: Sequence[str]) -> str:
    """Return the name of the job that is being composed."""
    overrides = (override.partition("=") for override in _raw(HydraConfig.get().overrides.task))
    values = {key.lstrip("+"): value for key, _, value in overrides}
    return short_name(HydraConfig.get().job.num, swept, values, groups)


def _instantiate_sweeper(
    sweep: Sweep, context: HydraContext, cfg: DictConfig, groups: Sequence[str]
) -> Sweeper:
    """Return the sweeper that the user chose, with our launcher in the place of its own."""
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=task_of(cfg), config=cfg
    )
    # A sweeper keeps the launcher in itself, or in an implementation that it imports late.
    holder: Any = getattr(sweeper, "sweeper", sweeper)
    dispatcher = Dispatcher(holder.launcher, context, cfg)
    searches = not isinstance(sweeper, BasicSweeper)
    if not searches:
        # All jobs are written down as one batch; the dispatcher keeps to the size of batches.
        holder.max_batch_size = None
    holder.validate_batch_is_legal = _trust
    holder.launcher = _StoringLauncher(sweep, dispatcher, context, cfg, groups, searches)
    return sweeper


def _trust(batch: object) -> None:
    """Stand in for a sweeper's check, which composes all jobs: our launcher composes them too."""


class _StoringLauncher(Launcher):
    """A launcher that stores each batch in sweep.json before the user's launcher does it."""

    def __init__(
        self,
        sweep: Sweep,
        dispatcher: Dispatcher,
        context: HydraContext,
        cfg: DictConfig,
        groups: Iterable[str],
        searches: bool,
    ):
        self._sweep, self._dispatcher = sweep, dispatcher
        self._context, self._cfg, self._groups = context, cfg, groups
        self._searches = searches
        self._files: dict[str, InputFile] = {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Do nothing: the constructor got everything."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Do a batch of jobs, return their objectives; KeyboardInterrupt if the sweep is to end."""
        if len(job_overrides) > _MANY:
            say(f"marlrun: composing {len(job_overrides)} jobs")
        numbered = enumerate(job_overrides, start=initial_job_idx)
        jobs = [self._compose(number, list(overrides)) for number, overrides in numbered]
        self._sweep.add(jobs, self._files.values())
        self._dispatcher.dispatch(self._sweep, jobs)
        if self._sweep.is_stopping:
            raise KeyboardInterrupt
        return [self._objective(job) for job in self._sweep.read().jobs[initial_job_idx:]]

    def _compose(self, number: int, overrides: list[str]) -> SweepJob:
        """Return a job with its resolved configuration."""
        cfg = self._context.config_loader.load_sweep_config(self._cfg, overrides)
        with open_dict(cfg):
            cfg.hydra.job.num = number
        HydraConfig.instance().set_config(cfg)
        directory = str(cfg.hydra.sweep.subdir)
        config = job_config(cfg, self._groups)
        files = inputs.read_typed(config, self._files)
        return SweepJob(number, overrides, directory, inputs.stored(config, files))

    def _objective(self, job: SweepJob) -> JobReturn:
        """Return the objective of a job for the sweeper, or the reason why there is none.

        ValueError or RuntimeError if it is useless to go on: a finished job does not have the
        objective, so none will have it; the launcher did not begin this job, so it will begin none.
        """
        if not self._searches:  # Hydra's basic sweeper would stop all jobs at the first failure.
            return JobReturn(job.overrides, status=JobStatus.COMPLETED)
        tag = str(self._cfg.objective)
        if tag in job.results:
            value = fmean(job.results[tag])
            return JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=value)
        if job.status == "finished":
            raise ValueError(f"objective={tag}: expected one of {', '.join(job.results)}")
        if job.status == "waiting":
            raise RuntimeError(f"job {job.number} was not begun")
        cause = f"job {job.number}: {job.error or job.status}"
        return _Failed(job.overrides, _return_value=ValueError(cause))


class _Failed(JobReturn):
    """A job without an objective; unlike Hydra's JobReturn, it prints no error."""

    @property
    def return_value(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Raise the reason why the job has no objective."""
        raise self._return_value
