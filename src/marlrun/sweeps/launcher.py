"""The jobs of a sweep, handed to a launcher of Hydra's that is told no more than whose turn it is.

A launcher composes a job's configuration where and when the job runs; here that is read from
sweep.json instead.
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
from marlrun.runner.outcome import Outcome, one_line
from marlrun.sweeps.directory import Sweep
from marlrun.sweeps.record import SweepJob
from marlrun.sweeps.worker import work
from marlrun.system.output import say
from marlrun.system.signals import Stop

_PLACE = "hydra.sweep.subdir="


def task_of(cfg: DictConfig) -> TaskFunction:
    """Return what a launcher calls in the process of a job."""
    # Plugins that a stored configuration names count for nothing.
    return partial(_do, plugins=list(cfg.plugins))


def _do(cfg: DictConfig, plugins: Sequence[str]) -> None:
    """Do the job that a launcher says is next."""
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir)
    with suppress(ValueError):
        sweep = sweep.relative_to(Path.cwd())
    work(sweep, str(Path(hydra.sweep.subdir)), plugins)


class Handing:
    """Hands jobs to a launcher, and sees to it that none is lost."""

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

    def __call__(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
        """Do these jobs; what became of each stands in sweep.json.

        When a launcher breaks down, the jobs that ran have failed, and it is given the rest. If it
        begins none of them, they wait for a resumption.
        """
        with Stop(partial(_stop, sweep)):
            jobs = [job for job in jobs if _has_place(sweep, job)]
            size = self._batch_size or len(jobs)
            while jobs and not sweep.is_stopping:
                batch, later = jobs[:size], jobs[size:]
                cause = self._launch(sweep, batch)
                left = sweep.waiting([job.directory for job in batch])
                if len(left) == len(batch):
                    if cause:
                        sweep.leave([job.directory for job in jobs], cause)
                    break
                jobs = [*left, *later]

    def _launch(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> str | None:
        """Give a batch to the launcher; return why it broke down, if it did."""
        cause = None
        returned: Sequence[JobReturn] = ()
        told = [[*job.overrides, f"{_PLACE}{job.directory}"] for job in jobs]
        try:
            returned = self._launcher.launch(told, initial_job_idx=jobs[0].number)
        except (KeyboardInterrupt, SystemExit):
            _stop(sweep)
        except Exception as error:
            cause = f"hydra/launcher={self._name}: {type(error).__name__}: {one_line(error)}"
            say(f"marlrun: {cause}")
        cause = _fail(sweep, jobs, returned) or cause
        sweep.bury([job.directory for job in jobs], "its process died")
        return cause


def _batch_size(cfg: DictConfig) -> int | None:
    """Return how many jobs a launcher is given at once; None for all."""
    size: int | None = OmegaConf.select(cfg, "hydra.sweeper.max_batch_size")
    if size is not None and size < 1:
        raise ValueError(f"hydra.sweeper.max_batch_size={size}: expected int [1, inf) or null")
    return size


def _fail(sweep: Sweep, jobs: Sequence[SweepJob], returned: Sequence[JobReturn]) -> str | None:
    """Write down why jobs ended that could not write it down themselves; return one cause.

    Such a job could not read or write what is the sweep's, for example on a full disk.
    """
    cause = None
    for job, its in zip(jobs, returned, strict=False):
        if its.status is JobStatus.FAILED:
            error = cast(Any, its)._return_value
            cause = f"{type(error).__name__}: {one_line(error)}"
            sweep.fail(job.directory, cause)
    return cause


def _has_place(sweep: Sweep, job: SweepJob) -> bool:
    """Make a job's directory; if that cannot be, it has failed, and the others do not suffer."""
    try:
        (sweep.directory / job.directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sweep.settle(job.directory, Outcome("failed", error=one_line(error)))
        return False
    return True


class _JobLoader:
    """Where a launcher loads a job's configuration from: sweep.json, in Hydra's clothes."""

    def load_sweep_config(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        """Return the configuration of the job whose directory the last override names."""
        *task, place = overrides
        job = Sweep(Path(master.hydra.sweep.dir)).job(place.removeprefix(_PLACE))
        # A stranger may have written what the job is; nothing of it is interpolated.
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
    for pid in sweep.stop():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
