"""What a checked command line asks for is done: one job, or the jobs of a sweep."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from marlrun.cli.mistakes import without_advice
from marlrun.cli.request import Request
from marlrun.config.composition import job_config, name_directory, plain, refuse_output_subdir
from marlrun.config.nested import Config, leaves
from marlrun.config.plugins import import_plugins
from marlrun.runner import inputs
from marlrun.runner.outcome import Outcome, Status, attempt
from marlrun.sweeps.directory import Sweep, holds_sweep
from marlrun.system.output import refuse_lost_results, say
from marlrun.system.paths import make_directory, remove_directories
from marlrun.system.signals import Stop


def run_one(request: Request) -> Outcome:
    """Do one job, or go on with the sweep that `mode=resume` names."""
    overrides = [*request.flags.overrides, "hydra.mode=RUN"]
    cfg = request.hydra.config_loader.load_configuration(request.root, overrides, RunMode.RUN)
    HydraConfig.instance().set_config(cfg)
    config = plain(cfg)
    for key, value in leaves(config):
        request.schema.check(key, value)
    import_plugins(config.get("plugins", []))
    if request.mode.newest is not None and config["run"] == "latest":
        config["run"] = str(request.mode.newest())
        say(f"marlrun: run=latest is {config['run']}")
    if request.mode.makes_directory:
        return _run_in_directory(request, cfg)
    if request.root == "resume" and holds_sweep(Path(config["run"])):
        return _resume_sweep(request, config)
    if request.mode.asks_for_types:
        # The choices are what a refusal names, as in a job of mode=train.
        config = {**job_config(cfg, request.mode.groups), "untyped": request.schema.untyped}
    outcome = _run_in_place(request, config)
    if request.mode.only_says:
        refuse_lost_results()
    return outcome


def run_sweep(request: Request) -> Outcome:
    """Do the jobs of a sweep, then show how each ended."""
    from marlrun.sweeps import sweeper

    words = (request.hydra, request.root, request.flags.overrides, request.argv)
    sweep, status = sweeper.run_sweep(*words, request.swept, request.mode.groups)
    plugins = [job.config.get("plugins", []) for job in sweep.read().jobs[:1]]
    return _conclude(sweep, status, *plugins)


def _resume_sweep(request: Request, config: Config) -> Outcome:
    """Do the jobs of a sweep that are not finished, then show how each ended."""
    from marlrun.sweeps import sweeper

    for key in ("env_steps", "updates"):
        if config[key] is not None:
            raise ValueError(f"{key}: the jobs of a sweep have their own; resume one of them")
    directory = Path(config["run"])
    if not sweeper.resume_sweep(request.hydra, request.root, request.flags.overrides, directory):
        say(f"marlrun: {directory}: all jobs are finished, nothing to do")
    return _conclude(Sweep(directory), "finished", config["plugins"])


def _conclude(sweep: Sweep, status: Status, plugins: Sequence[str] = ()) -> Outcome:
    """Show a sweep's jobs, failures first; return how the sweep ended.

    `status` is how its sweeper ended, `plugins` are the packages that the user allowed.
    """
    from marlrun.sweeps.table import write_sweep

    write_sweep(sweep, plugins)
    if any(job.status != "finished" for job in sweep.read().jobs):
        status = "interrupted" if sweep.is_stopping else "failed"
    return Outcome(status, sweep.directory)


def _run_in_place(request: Request, config: Config) -> Outcome:
    """Do what needs no directory of its own; whatever goes wrong in there is one line."""
    try:
        return request.mode.run(config, Path(), request.argv)
    except ValueError as error:
        return Outcome("refused", error=without_advice(error))
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        advice = "HYDRA_FULL_ERROR=1 shows where"
        return Outcome(
            "failed", error=f"{type(error).__name__}: {without_advice(error)} ({advice})"
        )


def _run_in_directory(request: Request, cfg: DictConfig) -> Outcome:
    """Do one job in a directory of its own, which is removed again where nothing came of it."""
    refuse_output_subdir(cfg)
    directory = name_directory(cfg, "hydra.run.dir")
    if holds_sweep(directory):
        raise ValueError(f"hydra.run.dir={directory}: holds a sweep; expected another directory")
    config = job_config(cfg, request.mode.groups)
    # A signal amid this import ends the process, while there is no directory yet.
    import_module("marlrun.runner.train")
    if cfg.hydra.job.chdir:
        config = inputs.absolute(config)
    with Stop():
        new_directories = make_directory(directory, "hydra.run.dir")
        try:
            return _run_in_hydra(request, cfg, partial(_job, config=config, request=request))
        finally:
            # Only directories that are empty are removed.
            remove_directories(new_directories)


def _run_in_hydra(
    request: Request, cfg: DictConfig, job: Callable[[DictConfig], Outcome]
) -> Outcome:
    """Do what `Hydra.run` does, with a configuration that is composed already."""
    callbacks = Callbacks(cfg)
    context = HydraContext(config_loader=request.hydra.config_loader, callbacks=callbacks)
    callbacks.on_run_start(config=cfg, config_name=request.root)
    job_return = run_job(job, cfg, "hydra.run.dir", None, context)
    callbacks.on_run_end(config=cfg, config_name=request.root, job_return=job_return)
    return job_return.return_value


def _job(cfg: DictConfig, config: Config, request: Request) -> Outcome:
    """Do one job in its directory; `config` is `cfg`, resolved."""
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    if not hydra.job.chdir:
        with suppress(ValueError):
            directory = directory.relative_to(Path.cwd())
    argv = ["marlrun", *request.argv]
    return attempt(lambda: request.mode.run(config, directory, argv), directory)
