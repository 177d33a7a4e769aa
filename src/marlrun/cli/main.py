"""The command line: Hydra's, with every key and value checked before anything starts.

Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn, cast

from hydra import version as hydra_version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import run_job
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from marlrun import __version__
from marlrun.cli.help import help_text
from marlrun.cli.modes import MODES, Mode
from marlrun.cli.overrides import Checker
from marlrun.cli.sources import Loader, search_path
from marlrun.cli.typed import adding, check_flags, check_places, mode_of, quoted
from marlrun.config.composition import (
    directory_label,
    job_config,
    name_directory,
    plain,
    refuse_output_subdir,
)
from marlrun.config.nested import Config, leaves
from marlrun.config.plugins import import_plugins
from marlrun.config.schema import Schema, did_you_mean
from marlrun.runner import inputs
from marlrun.runner.outcome import Outcome, Status, attempt
from marlrun.sweeps.directory import Sweep, holds_sweep
from marlrun.system.output import refuse_lost_results, say, write
from marlrun.system.paths import make_directory, remove_directories
from marlrun.system.signals import Stop

EXIT_CODES = {"finished": 0, "failed": 1, "refused": 2, "interrupted": 130}


class Parser(argparse.ArgumentParser):
    """Hydra's flags; a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of printing the usage."""
        raise ValueError(message)


@dataclass(frozen=True)
class Request:
    """What was typed, parsed and checked."""

    argv: list[str]
    flags: argparse.Namespace
    mode: Mode
    root: str
    hydra: Hydra
    repository: IConfigRepository
    schema: Schema
    swept: list[str]
    """Keys with several values."""


def main() -> int:
    """Do what the command line says; return the exit code."""
    outcome = run_command(sys.argv[1:])
    if outcome.error:
        say(f"marlrun: {outcome.error}")
    return EXIT_CODES[outcome.status]


def run_command(argv: list[str]) -> Outcome:
    """Do what the words of a command line say; return how it ended, wrong input included."""
    try:
        return _run_command(argv)
    except (ValueError, HydraException, OmegaConfBaseException, YAMLError) as error:
        return Outcome("refused", error=_without_advice(error))
    except OSError as error:
        return Outcome("failed", error=_without_advice(error))
    except KeyboardInterrupt:
        return Outcome("interrupted", error="interrupted")
    finally:
        GlobalHydra.instance().clear()


def _run_command(argv: list[str]) -> Outcome:
    if "--version" in argv:
        write(f"marlrun {__version__}")
        refuse_lost_results()
        return Outcome("finished")
    flags = Parser(prog="marlrun", add_help=False, parents=[get_args_parser()])
    parsed = flags.parse_intermixed_args(argv)
    parsed.overrides = list(map(quoted, parsed.overrides))
    check_flags(parsed)
    hydra = _start_hydra(parsed.config_dir)
    if parsed.hydra_help:
        hydra.hydra_help(None, flags, parsed)
    elif parsed.shell_completion:
        typed = re.findall(r"(?<=\bmode=)\w+", os.environ.get("COMP_LINE", ""))
        mode = MODES.get(typed[-1] if typed else "train", MODES["train"])
        hydra.shell_completion(parsed.config_name or mode.root, parsed.overrides)
    else:
        return _act(_request(argv, parsed, hydra))
    refuse_lost_results()
    return Outcome("finished")


def _start_hydra(config_dir: str | None) -> Hydra:
    hydra_version.setbase("1.3")
    hydra = Hydra("marlrun", Loader(search_path(config_dir)))
    GlobalHydra.instance().initialize(hydra)
    # Runs started in the same second must not meet.
    run_id = os.urandom(3).hex()

    def label(*, _root_: DictConfig) -> str:
        return directory_label(_root_, run_id)

    OmegaConf.register_new_resolver("label", label, replace=True)
    return hydra


def _request(argv: list[str], flags: argparse.Namespace, hydra: Hydra) -> Request:
    loader = cast(Loader, hydra.config_loader)
    parser = OverridesParser.create(config_loader=loader)
    overrides = parser.parse_overrides(flags.overrides)
    mode = mode_of(overrides)
    check_places(mode, flags, overrides)
    root = flags.config_name or mode.root
    repository = loader.repository_of(root, overrides)
    runs = not (flags.help or flags.cfg or flags.info)
    checker = Checker(root, mode.needs, runs, flags.multirun, parser, repository)
    params = checker.sweeper_params(overrides)
    if not runs:
        flags.overrides = [*(str(param.input_line) for param in params), *flags.overrides]
    overrides = [*params, *overrides]
    swept = [one.get_key_element().lstrip("+") for one in overrides if one.is_sweep_override()]
    schema = checker.check(overrides)
    loader.paths = checker.paths
    flags.overrides = adding(flags.overrides, mode)
    return Request(argv, flags, mode, root, hydra, repository, schema, list(dict.fromkeys(swept)))


def _act(request: Request) -> Outcome:
    """Do what a checked command line says."""
    flags, hydra, root = request.flags, request.hydra, request.root
    if flags.help:
        write("\n".join(help_text(request.repository, request.schema)))
    elif flags.cfg:
        hydra.show_cfg(root, flags.overrides, flags.cfg, flags.package, flags.resolve)
    elif flags.info:
        hydra.show_info(flags.info, root, flags.overrides)
    else:
        return _sweep(request) if flags.multirun else _run(request)
    refuse_lost_results()
    return Outcome("finished")


def _run(request: Request) -> Outcome:
    """Do one job."""
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


def _run_in_place(request: Request, config: Config) -> Outcome:
    """Do what needs no directory of its own; whatever goes wrong in there is one line."""
    try:
        return request.mode.run(config, Path(), request.argv)
    except ValueError as error:
        return Outcome("refused", error=_without_advice(error))
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        advice = "HYDRA_FULL_ERROR=1 shows where"
        return Outcome(
            "failed", error=f"{type(error).__name__}: {_without_advice(error)} ({advice})"
        )


def _run_in_directory(request: Request, cfg: DictConfig) -> Outcome:
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
        made = make_directory(directory, "hydra.run.dir")
        try:
            return _run_in_hydra(request, cfg, partial(_job, config=config, request=request))
        finally:
            # Where nothing came of it, they are empty.
            remove_directories(made)


def _run_in_hydra(
    request: Request, cfg: DictConfig, job: Callable[[DictConfig], Outcome]
) -> Outcome:
    """Do what `Hydra.run` does, with a configuration that is composed already."""
    callbacks = Callbacks(cfg)
    context = HydraContext(config_loader=request.hydra.config_loader, callbacks=callbacks)
    callbacks.on_run_start(config=cfg, config_name=request.root)
    done = run_job(job, cfg, "hydra.run.dir", None, context)
    callbacks.on_run_end(config=cfg, config_name=request.root, job_return=done)
    return done.return_value


def _sweep(request: Request) -> Outcome:
    """Do the jobs of a sweep, then tell how each ended."""
    from marlrun.sweeps.sweeper import run_sweep

    asked = (request.hydra, request.root, request.flags.overrides, request.argv)
    sweep, ended = run_sweep(*asked, request.swept, request.mode.groups)
    plugins = [job.config.get("plugins", []) for job in sweep.read().jobs[:1]]
    return _conclude(sweep, ended, *plugins)


def _resume_sweep(request: Request, config: Config) -> Outcome:
    """Do the jobs of a sweep that are not finished, then tell how each ended."""
    from marlrun.sweeps.sweeper import resume_sweep

    for key in ("env_steps", "updates"):
        if config[key] is not None:
            raise ValueError(f"{key}: the jobs of a sweep have their own; resume one of them")
    directory = Path(config["run"])
    if not resume_sweep(request.hydra, request.root, request.flags.overrides, directory):
        say(f"marlrun: {directory}: all jobs are finished, nothing to do")
    return _conclude(Sweep(directory), "finished", config["plugins"])


def _conclude(sweep: Sweep, ended: Status, plugins: Sequence[str] = ()) -> Outcome:
    """Show a sweep's jobs, failures first; return how the sweep ended, given how its sweeper did.

    `plugins` are those that the user allowed.
    """
    from marlrun.sweeps.table import write_sweep

    write_sweep(sweep, plugins)
    if any(job.status != "finished" for job in sweep.read().jobs):
        ended = "interrupted" if sweep.is_stopping else "failed"
    return Outcome(ended, sweep.directory)


def _job(cfg: DictConfig, config: Config, request: Request) -> Outcome:
    """Do one job in its directory; `config` is `cfg`, resolved."""
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    if not hydra.job.chdir:
        with suppress(ValueError):
            directory = directory.relative_to(Path.cwd())
    argv = ["marlrun", *request.argv]
    return attempt(lambda: request.mode.run(config, directory, argv), directory)


def _without_advice(error: BaseException) -> str:
    """Return what an error of Hydra's says, without advice that would let a typo through."""
    if isinstance(error, OverrideParseException):
        word = error.override
        if mode := did_you_mean(word, MODES):
            return f"{word}: expected KEY=VALUE{mode.replace('mean ', 'mean mode=')}"
        return f"{word}: expected KEY=VALUE, special characters in quotes within quotes"
    advice = r"\n(?:Config search path|Search path|See https|To append|\s+full_key)"
    text = " ".join(re.split(advice, str(error) or type(error).__name__)[0].split())
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        text = f"{error.full_key}: {text}"
    cause = error.__cause__ if isinstance(error, HydraException) else None
    return f"{text}; {_without_advice(cause)}" if cause else text
