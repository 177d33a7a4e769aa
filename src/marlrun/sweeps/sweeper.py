"""Sweeps: what a sweeper of Hydra's asks for is written down, then done by a launcher of Hydra's.

A launcher composes a job's configuration where and when the job runs, so an edit of conf/ would
change jobs that have not begun, and it knows nothing of what it started if it dies. Here a batch
is composed before its first job starts, and sweep.json keeps it.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from functools import partial
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
from marlrun.runner.outcome import Status, one_line
from marlrun.sweeps.directory import Sweep, short_name
from marlrun.sweeps.launcher import Handing, task_of
from marlrun.sweeps.record import SweepJob
from marlrun.system.output import say
from marlrun.system.reading import InputFile
from marlrun.system.signals import Interrupt, handling

_MANY = 50
"""Jobs whose composition takes so long that it is announced."""


@handling(Interrupt("marlrun"))
def run_sweep(
    hydra: Hydra,
    root: str,
    overrides: Sequence[str],
    argv: Sequence[str],
    swept: Sequence[str],
    groups: Sequence[str],
) -> tuple[Sweep, Status]:
    """Do the jobs that the sweeper asks for; return also how the sweeper ended.

    `swept` are the keys with several values, `groups` those whose choice a run's record names.
    ValueError before anything starts if the directory holds a sweep. KeyboardInterrupt if Ctrl-C
    or SIGTERM comes before there is a job.
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
        ended = _ask(_recorded_sweeper(sweep, context, cfg, groups), sweep, cfg)
    finally:
        sweep.end()
    callbacks.on_multirun_end(config=cfg, config_name=root)
    return sweep, ended


def _ask(sweeper: Sweeper, sweep: Sweep, cfg: DictConfig) -> Status:
    """Let the sweeper ask for jobs; return how it ended.

    What ends it before there is a job is raised, as is an OSError, such as of a full disk.
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
        say(f"marlrun: hydra/sweeper={name}: {type(error).__name__}: {one_line(error)}")
        return "failed"
    return "finished"


@handling(Interrupt("marlrun"))
def resume_sweep(hydra: Hydra, root: str, overrides: Sequence[str], directory: Path) -> list[str]:
    """Do the jobs of a sweep that are not finished; return their directories."""
    cfg = _compose(hydra, root, overrides)
    cfg.hydra.sweep.dir = _absolute(directory)
    context, task = HydraContext(hydra.config_loader, Callbacks(cfg)), task_of(cfg)
    hand_out = Handing(Plugins.instance().instantiate_launcher(context, task, cfg), context, cfg)
    sweep = Sweep(directory)
    jobs = sweep.resume()
    for job in jobs:
        if job.error:
            say(f"marlrun: {directory / job.directory}: {job.error}; it is done again")
    if jobs:
        hand_out(sweep, jobs)
    sweep.end()
    return [job.directory for job in jobs]


def _compose(
    hydra: Hydra,
    root: str,
    overrides: Sequence[str],
    swept: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> DictConfig:
    """Return what the jobs of a sweep share."""
    chosen = {one.partition("=")[0].lstrip("+") for one in overrides}.difference(swept)
    late = tuple(f"{group}." for group in {*swept, *groups} - chosen)

    def is_late(override: str) -> bool:
        """Say whether it sets a key of a group that each job chooses: no file has it yet."""
        return override.lstrip("+").startswith(late)

    cfg = hydra.compose_config(
        config_name=root,
        overrides=[*(one for one in overrides if not is_late(one)), "hydra.mode=MULTIRUN"],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=True,
    )
    refuse_output_subdir(cfg)
    import_plugins(cfg.plugins)
    shared = _raw(cfg.hydra.overrides.task)
    cfg.hydra.overrides.task = [one for one in overrides if one in shared or is_late(one)]
    _amend(cfg)
    return cfg


def _absolute(directory: Path) -> str:
    """Return a sweep's directory for Hydra; ValueError if Hydra would interpolate it."""
    text = str(directory.absolute())
    if "${" in text:
        raise ValueError(f"hydra.sweep.dir={text}: expected a path without ${{")
    return text


def _raw(overrides: Any) -> list[str]:
    """Return overrides of Hydra's record as they were typed, with interpolations as such."""
    return cast(list[str], OmegaConf.to_container(overrides, resolve=False))


def _set_defaults() -> None:
    """Change defaults of plugins that are wrong here, below what files and the user say."""
    store = ConfigStore.instance()
    if "optuna.yaml" in store.list("hydra/sweeper"):
        logging.getLogger("alembic").setLevel(logging.WARNING)
        node = store.load("hydra/sweeper/optuna.yaml").node
        # Objectives are returns, and a failed job must not stop the others.
        node.direction, node.max_failure_rate = "maximize", 1.0
        store.store(group="hydra/sweeper", name="optuna", node=node, provider="optuna_sweeper")


def _amend(cfg: DictConfig) -> None:
    """Change what stands in the way of a launcher."""
    if cfg.hydra.runtime.choices["hydra/launcher"] == "ray":
        # Ray keeps lines to itself that look alike; all jobs end by such a line.
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        # The launcher would give a cluster that runs already a size, which Ray refuses.
        init = cfg.hydra.launcher.ray.init
        with open_dict(init):
            init.setdefault("object_store_memory", None)


def _job_name(swept: Sequence[str], groups: Sequence[str]) -> str:
    """Return the name of the job that is being composed."""
    typed = (override.partition("=") for override in _raw(HydraConfig.get().overrides.task))
    values = {key.lstrip("+"): value for key, _, value in typed}
    return short_name(HydraConfig.get().job.num, swept, values, groups)


def _recorded_sweeper(
    sweep: Sweep, context: HydraContext, cfg: DictConfig, groups: Sequence[str]
) -> Sweeper:
    """Return the chosen sweeper, with a recorder in the place of its launcher."""
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=task_of(cfg), config=cfg
    )
    # A sweeper keeps it in itself, or in an implementation that it imports late.
    holder: Any = getattr(sweeper, "sweeper", sweeper)
    hand_out = Handing(holder.launcher, context, cfg)
    searches = not isinstance(sweeper, BasicSweeper)
    if not searches:
        # All its jobs are written down first; what is handed out at once is not its business.
        holder.max_batch_size = None
    holder.validate_batch_is_legal = _trust
    holder.launcher = _Recorder(sweep, hand_out, context, cfg, groups, searches)
    return sweeper


def _trust(batch: object) -> None:
    """Take the place of a sweeper's test composition of all jobs: the recorder does it too."""


class _Recorder(Launcher):
    """A launcher that writes down a batch, lets another do it, and says what came of it."""

    def __init__(
        self,
        sweep: Sweep,
        hand_out: Handing,
        context: HydraContext,
        cfg: DictConfig,
        groups: Iterable[str],
        searches: bool,
    ):
        self._sweep, self._hand_out = sweep, hand_out
        self._context, self._cfg, self._groups = context, cfg, groups
        self._searches = searches
        self._files: dict[str, InputFile] = {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Do nothing: all is known."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Do a batch of jobs; KeyboardInterrupt if the sweep is to end; see also `_returned`."""
        if len(job_overrides) > _MANY:
            say(f"marlrun: composing {len(job_overrides)} jobs")
        numbered = enumerate(job_overrides, start=initial_job_idx)
        jobs = [self._composed(number, list(overrides)) for number, overrides in numbered]
        self._sweep.add(jobs, self._files.values())
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
        config = job_config(cfg, self._groups)
        files = inputs.read_typed(config, self._files)
        return SweepJob(number, overrides, directory, inputs.stored(config, files))

    def _returned(self, job: SweepJob) -> JobReturn:
        """Return what the sweeper hears of a job: its objective, or why there is none.

        A sweeper that does not search would stop the others at a failure. ValueError, RuntimeError
        if to search is in vain: for no job has the objective, or the launcher begins none.
        """
        if not self._searches:
            return JobReturn(job.overrides, status=JobStatus.COMPLETED)
        tag = str(self._cfg.objective)
        if tag in job.results:
            value = fmean(job.results[tag])
            return JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=value)
        if job.status == "finished":
            raise ValueError(f"objective={tag}: expected one of {', '.join(job.results)}")
        if job.status == "waiting":  # as would all others
            raise RuntimeError(f"job {job.number} was not begun")
        cause = f"job {job.number}: {job.error or job.status}"
        return _Failed(job.overrides, _return_value=ValueError(cause))


class _Failed(JobReturn):
    """A job without an objective; unlike Hydra's, it says so by its exception alone."""

    @property
    def return_value(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Raise the reason."""
        raise self._return_value
