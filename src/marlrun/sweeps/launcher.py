"""Gives the jobs of a sweep to one of Hydra's launchers, by the names of their directories.

A launcher would compose the configuration of a job where and when the job runs. Here it gets what
sweep.json holds instead.
"""

import copy
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from marlrun.config.composition import literal
from marlrun.runner.outcome import Outcome
from marlrun.sweeps.directory import Sweep
from marlrun.sweeps.state import SweepJob
from marlrun.sweeps.worker import work
from marlrun.system.errors import one_line, with_type
from marlrun.system.output import say
from marlrun.system.signals import Stop

_SUBDIR = "hydra.sweep.subdir="


def task_of(cfg: DictConfig) -> TaskFunction:
    """Return the function that a launcher calls in the process of a job."""
    # Plugins that a stored configuration names are not allowed.
    return partial(_do, plugins=list(cfg.plugins))


def _do(cfg: DictConfig, plugins: Sequence[str]) -> None:
    """Do the job whose directory Hydra's configuration names."""
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir)
    with suppress(ValueError):
        sweep = sweep.relative_to(Path.cwd())
    work(sweep, str(Path(hydra.sweep.subdir)), plugins)


class Dispatcher:
    """Gives jobs to a launcher, and those again that it lost."""

    def __init__(self, launcher: Launcher, context: HydraContext, cfg: DictConfig):
        self._launcher = launcher
        self._name = cfg.hydra.runtime.choices["hydra/launcher"]
        self._batch_size = _batch_size(cfg)
        if type(launcher).__name__ == "JoblibLauncher":
            from marlrun.sweeps.joblib_workers import Workers  # imports joblib, which is an extra

            Workers().use()
        loader = cast(ConfigLoader, _JobLoader())
        launcher.setup(
            hydra_context=HydraContext(loader, context.callbacks),
            task_function=task_of(cfg),
            config=cfg,
        )

    def dispatch(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
        """Do these jobs, and write to sweep.json how each ended.

        A launcher may break down: then the jobs that ran have failed, and it gets the others. If
        it begins none of a batch, the jobs wait until the sweep is resumed.
        """
        with Stop(partial(_stop, sweep)):
            jobs = [job for job in jobs if _make_directory(sweep, job)]
            size = self._batch_size or len(jobs)
            while jobs and not sweep.is_stopping:
                batch, later = jobs[:size], jobs[size:]
                cause = self._launch(sweep, batch)
                waiting = sweep.waiting([job.directory for job in batch])
                if len(waiting) == len(batch):
                    if cause:
                        sweep.mark_skipped([job.directory for job in jobs], cause)
                    break
                jobs = [*waiting, *later]

    def _launch(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> str | None:
        """Give a batch to the launcher; return why it broke down, if it did."""
        cause = None
        returned: Sequence[JobReturn] = ()
        overrides = [[*job.overrides, f"{_SUBDIR}{job.directory}"] for job in jobs]
        try:
            returned = self._launcher.launch(overrides, initial_job_idx=jobs[0].number)
        except (KeyboardInterrupt, SystemExit):
            _stop(sweep)
        except Exception as error:
            cause = f"hydra/launcher={self._name}: {with_type(error)}"
            say(f"marlrun: {cause}")
        cause = _mark_failed(sweep, jobs, returned) or cause
        sweep.mark_dead([job.directory for job in jobs], "its process died")
        return cause


def _batch_size(cfg: DictConfig) -> int | None:
    """Return how many jobs a launcher gets at once; None for all."""
    size: int | None = OmegaConf.select(cfg, "hydra.sweeper.max_batch_size")
    if size is not None and size < 1:
        raise ValueError(f"hydra.sweeper.max_batch_size={size}: expected int [1, inf) or null")
    return size


def _mark_failed(
    sweep: Sweep, jobs: Sequence[SweepJob], returned: Sequence[JobReturn]
) -> str | None:
    """Write down why jobs failed that could not do it themselves; return the last cause.

    Such a job could not read or write sweep.json, for example because the disk is full.
    """
    cause = None
    for job, job_return in zip(jobs, returned, strict=False):
        if job_return.status is JobStatus.FAILED:
            error = cast(Any, job_return)._return_value
            cause = with_type(error)
            sweep.mark_failed(job.directory, cause)
    return cause


def _make_directory(sweep: Sweep, job: SweepJob) -> bool:
    """Make the directory of a job and return True; where it cannot be made, that job has failed."""
    try:
        (sweep.directory / job.directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sweep.mark_ended(job.directory, Outcome("failed", error=one_line(error)))
        return False
    return True


class _JobLoader:
    """Stands in for Hydra's ConfigLoader: launchers load the configuration of a job from it."""

    def load_sweep_config(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        """Return what sweep.json holds of the job whose directory the last override names."""
        *task, subdir = overrides
        job = Sweep(Path(master.hydra.sweep.dir)).job(subdir.removeprefix(_SUBDIR))
        # A stranger may have written the configuration, so nothing in it is interpolated.
        config = literal(job.config)
        cfg = OmegaConf.create({**config, "hydra": None})
        with open_dict(cfg):
            cfg.hydra = copy.deepcopy(master.hydra)
            cfg.hydra.overrides.task = literal(task)
            if isinstance(config.get("choices"), dict):
                cfg.hydra.runtime.choices.update(config["choices"])
            # Alone, "???" would be a value that is missing.
            cfg.hydra.sweep.subdir = f"./{job.directory}"
        return cfg


def _stop(sweep: Sweep) -> None:
    """Let no further job start, and ask those that run on this machine to stop."""
    for pid in sweep.stop():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
