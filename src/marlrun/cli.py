"""The command line: Hydra's, with every key and value checked before anything starts.

Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted.
"""

import argparse
import itertools
import os
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra import version as hydra_version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.utils import JobReturn, run_job
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from marlrun import __version__
from marlrun.modes import MODES, Config, Mode
from marlrun.runner.outcome import Outcome
from marlrun.schema import Schema, did_you_mean, leaves, title

EXIT_CODES = {"finished": 0, "failed": 1, "refused": 2, "interrupted": 130}
HELP_GROUPS = {
    "algo": "Algorithms",
    "env": "Environments",
    "graph": "Graphs",
    "experiment": "Experiments",
}
HELP = """\
marlrun: train, evaluate and compare decentralised multi-agent reinforcement learning.

  marlrun algo=A env=E [seed=0] [replicas=1] [env_steps=N] [KEY=VALUE ..]   train
  marlrun -m algo=A,B env=E algo.beta=0.2,0.4                               train every combination
  marlrun mode=eval run=DIR [episodes=1000] [checkpoint=best] [video=true]  measure a run
  marlrun mode=resume run=DIR [env_steps=N]                                 go on with a run
  marlrun mode=exact env=E [env.KEY=VALUE ..]                               solve a game

Examples:
  marlrun algo=dec_hdrqn env=meeting_grid
  marlrun algo=dec_hdrqn env=target_capture env.size=4 env.flicker=0.3 replicas=5
  marlrun --help algo=dec_hdrqn env=matrix_game    the keys of this algorithm and environment
  marlrun --cfg job algo=dec_hdrqn env=matrix_game the configuration, without running it
  eval "$(marlrun -sc install=bash)"               completion by the tab key; also zsh, fish
"""


class Parser(argparse.ArgumentParser):
    """Hydra's flags; a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of printing the usage."""
        raise ValueError(message)


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which also shows where it reads."""

    def repository_of(self, root: str, overrides: list[Override]) -> CachingConfigRepository:
        """Return all files of the search path, with what `hydra.searchpath` adds to it."""
        repository = CachingConfigRepository(self.repository)
        self._process_config_searchpath(root, overrides, repository)
        return repository


@dataclass
class CommandLine:
    """What was typed, parsed but not yet checked."""

    typed: list[str]
    flags: argparse.Namespace
    mode: Mode
    root: str
    hydra: Hydra
    loader: Loader
    parser: OverridesParser
    overrides: list[Override]
    repository: IConfigRepository

    @property
    def lines(self) -> list[str]:
        """The overrides as Hydra takes them."""
        run_mode = "MULTIRUN" if self.flags.multirun else "RUN"
        return [*self.flags.overrides, f"hydra.mode={run_mode}"]


def main() -> int:
    """Do what the command line says; return the exit code."""
    try:
        return _main(sys.argv[1:])
    except (ValueError, HydraException, OmegaConfBaseException) as error:
        return _say(_one_line(error), 2)
    except OSError as error:
        return _say(_one_line(error), 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    finally:
        GlobalHydra.instance().clear()


def _main(argv: list[str]) -> int:
    if "--version" in argv:
        print(f"marlrun {__version__}")
        return 0
    line = _parse(argv)
    flags, hydra = line.flags, line.hydra
    if flags.shell_completion:
        hydra.shell_completion(line.root, flags.overrides)
    elif flags.hydra_help:
        hydra.hydra_help(line.root, get_args_parser(), flags)
    else:
        return _act(line, check(line))
    return 0


def _act(line: CommandLine, schema: Schema) -> int:
    """Do what a checked command line says."""
    flags = line.flags
    if flags.help:
        print(_help(line.repository, schema))
    elif flags.cfg:
        line.hydra.show_cfg(line.root, flags.overrides, flags.cfg, flags.package, flags.resolve)
    elif flags.info:
        line.hydra.show_info(flags.info, line.root, flags.overrides)
    elif flags.multirun:
        return _sweep(line)
    else:
        return _run(line, schema)
    return 0


# Parsing


def _parse(argv: list[str]) -> CommandLine:
    parser = Parser(prog="marlrun", add_help=False, parents=[get_args_parser()])
    flags = parser.parse_intermixed_args(argv)
    _refuse_flags(flags)
    hydra_version.setbase("1.3")
    loader = Loader(_search_path(flags.config_dir))
    hydra = Hydra("marlrun", loader)
    GlobalHydra.instance().initialize(hydra)
    OmegaConf.register_new_resolver("run_id", _run_id, replace=True, use_cache=True)
    if flags.shell_completion:
        typed = re.findall(r"\bmode=\w+", os.environ.get("COMP_LINE", ""))[-1:]
    else:
        typed = flags.overrides
    override_parser = OverridesParser.create(config_loader=loader)
    overrides = override_parser.parse_overrides(typed)
    mode = MODES[_mode_of(overrides)]
    root = flags.config_name or mode.root
    repository = loader.repository_of(root, overrides)
    return CommandLine(
        argv, flags, mode, root, hydra, loader, override_parser, overrides, repository
    )


def _refuse_flags(flags: argparse.Namespace) -> None:
    if flags.config_path:
        raise ValueError("--config-path: use --config-dir DIR, it adds to what marlrun has")
    if flags.experimental_rerun:
        raise ValueError("--experimental-rerun: use mode=resume run=DIR")
    doing = {
        "--cfg": flags.cfg, "--info": flags.info, "-m": flags.multirun, "-r": flags.run
    }  # fmt: skip
    chosen = [name for name, value in doing.items() if value]
    if len(chosen) > 1:
        raise ValueError(f"{' and '.join(chosen)}: expected only one of them")


def _search_path(config_dir: str | None) -> ConfigSearchPath:
    path = create_config_search_path("pkg://marlrun.conf")
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise ValueError(f"--config-dir={config_dir}: no such directory")
        where = f"file://{Path(config_dir).resolve()}"
        path.prepend("command-line", where, anchor=SearchPathQuery(provider="schema"))
    return path


_RUN_ID = secrets.token_hex(3)


def _run_id() -> str:
    """Six hexadecimal digits: runs started in the same second do not collide."""
    return _RUN_ID


def _mode_of(overrides: list[Override]) -> str:
    named = [override.value() for override in overrides if override.key_or_group == "mode"]
    mode = named[-1] if named else "train"
    if mode not in MODES:
        guess = did_you_mean(str(mode), MODES) if isinstance(mode, str) else ""
        raise ValueError(f"mode={mode}: expected one of {' | '.join(MODES)}{guess}")
    return str(mode)


# Checking


def check(line: CommandLine) -> Schema:
    """Raise ValueError, in one line, unless every key and every value of a sweep may be.

    Returns what the (last) combination of groups takes.
    """
    hydras = [override for override in line.overrides if override.is_hydra_override()]
    own = [override for override in line.overrides if not override.is_hydra_override()]
    groups = [override for override in own if _is_group(line, override)]
    keys = [override for override in own if not _is_group(line, override)]
    if line.flags.multirun and not line.mode.makes_directory:
        raise ValueError("-m: only mode=train can be swept")
    schema = Schema()
    for chosen in itertools.product(*(_expand(line, override) for override in groups)):
        schema = _read_files(line, [*hydras, *chosen])
        for override in keys:
            _check_key(line, schema, override)
        if line.flags.run or not (line.flags.help or line.flags.cfg or line.flags.info):
            _check_missing(schema, keys)
    return schema


def _is_group(line: CommandLine, override: Override) -> bool:
    is_values = isinstance(override.value(), dict)
    return not is_values and line.repository.group_exists(override.key_or_group)


def _expand(line: CommandLine, override: Override) -> list[Override]:
    """Return an override for each value of a sweep."""
    if not override.is_sweep_override():
        return [override]
    if not line.flags.multirun:
        hint = "several values need -m; put one that holds a comma into quotes within quotes"
        raise ValueError(f"{override.input_line}: {hint}")
    value = override.value()
    if isinstance(value, IntervalSweep):
        texts = [str(value.start), str(value.end)]
    else:
        texts = list(override.sweep_string_iterator())
    if not texts:
        raise ValueError(f"{override.input_line}: matches nothing")
    return line.parser.parse_overrides([f"{override.get_key_element()}={text}" for text in texts])


def _check_key(line: CommandLine, schema: Schema, override: Override) -> None:
    key = override.key_or_group + (f"@{override.package}" if override.package else "")
    if override.is_delete():
        raise ValueError(f"~{key}: a key cannot be deleted")
    for one in _expand(line, override):
        schema.check(key, one.value())
    if override.is_add() and key in schema.rules:
        raise ValueError(f"+{key}: exists already; leave out the +")


def _check_missing(schema: Schema, keys: list[Override]) -> None:
    given = {override.key_or_group for override in keys}
    for key, rule in schema.rules.items():
        if rule.default == "???" and key not in given:
            raise ValueError(f"{key}: missing; expected {key}={rule}")


def _read_files(line: CommandLine, choices: Sequence[Override]) -> Schema:
    """Return what the files that Hydra composes for these choices take, having checked them."""
    defaults = _defaults(line, list(choices))
    groups = line.repository.get_group_options("", ObjectType.GROUP)
    schema = Schema(groups=groups, where="" if line.root == "config" else f" in {line.root}.yaml")
    for default in defaults.defaults:
        if default.config_path and (default.package or "").partition(".")[0] != "hydra":
            _read_file(line.repository, schema, default)
    return schema


def _read_file(repository: IConfigRepository, schema: Schema, default: ResultDefault) -> None:
    path, package = str(default.config_path), default.package or ""
    loaded = repository.load_config(path)
    assert loaded is not None
    values = cast(Config, OmegaConf.to_container(loaded.config, resolve=False))
    if not package:
        values.pop("hydra", None)
    # A file that is merged over the whole configuration may change it, not add to it: a typo in
    # an experiment must not pass.
    may_add = default.primary or bool(package)
    try:
        schema.read(package, values, _text(repository, path), may_add)
    except ValueError as error:
        raise ValueError(f"{path}.yaml: {error}") from error


def _defaults(line: CommandLine, choices: list[Override]) -> DefaultsList:
    """Return the files that these choices select; ValueError for an option that is none."""
    own = [choice for choice in choices if not choice.is_hydra_override()]
    for choice in own:
        _check_option(line.repository, choice)
    try:
        defaults = create_defaults_list(line.repository, line.root, choices, True, False)
    except ConfigCompositionException:
        known = create_defaults_list(line.repository, line.root, [], True, False)
        for choice in own:
            if choice.key_or_group not in known.overrides.known_choices_per_group:
                _refuse_group(line, choice)
        raise
    for choice in own:
        if choice.is_add() and _adds_keys(defaults, choice):
            _refuse_group(line, choice)
    missing = [g for g in line.mode.needs if defaults.overrides.known_choices.get(g) is None]
    if missing and not (line.flags.help or line.flags.cfg or line.flags.info):
        options = [f"{g}={' | '.join(line.repository.get_group_options(g))}" for g in missing]
        raise ValueError(f"{' and '.join(missing)} missing: expected {', '.join(options)}")
    return defaults


def _check_option(repository: IConfigRepository, choice: Override) -> None:
    group, value = choice.key_or_group, choice.value()
    for option in cast(list[Any], value if isinstance(value, list) else [value]):
        if not choice.is_delete() and not repository.config_exists(f"{group}/{option}"):
            options = repository.get_group_options(group)
            guess = did_you_mean(str(option), options)
            raise ValueError(f"{group}={option}: expected {' | '.join(options)}{guess}")


def _adds_keys(defaults: DefaultsList, choice: Override) -> bool:
    path = f"{choice.key_or_group}/{choice.value()}"
    return any(default.config_path == path and default.package for default in defaults.defaults)


def _refuse_group(line: CommandLine, choice: Override) -> NoReturn:
    raise ValueError(f"{choice.input_line}: {line.root}.yaml has no {choice.key_or_group}")


def _text(repository: IConfigRepository, path: str) -> str:
    """Return a config file as written; "" for one that is no file but a structured config."""
    for source in repository.get_sources():
        if source.is_config(path):
            if source.scheme() == "file":
                return (Path(source.path) / f"{path}.yaml").read_text(encoding="utf-8")
            if source.scheme() == "pkg":
                file = resources.files(source.path) / f"{path}.yaml"
                return file.read_text(encoding="utf-8")
            break
    return ""


# Running


def _run(line: CommandLine, schema: Schema) -> int:
    """Do one job."""
    cfg = line.loader.load_configuration(line.root, line.lines, RunMode.RUN)
    HydraConfig.instance().set_config(cfg)
    config = _plain(cfg)
    for key, value in leaves(config):
        schema.check(key, value)
    if not line.mode.makes_directory:
        return _report(line.mode.run(config, Path(), line.typed))
    directory = Path(cfg.hydra.run.dir)
    created = [path for path in (directory, *directory.parents) if not path.exists()]
    outcome = _run_in_hydra(line, cfg, partial(_job, mode=line.mode, typed=line.typed))
    if outcome.status == "refused":
        with suppress(OSError):
            for path in created:
                path.rmdir()
    return _report(outcome)


def _run_in_hydra(
    line: CommandLine, cfg: DictConfig, job: Callable[[DictConfig], Outcome]
) -> Outcome:
    """Do what `Hydra.run` does, with a configuration that is composed already."""
    callbacks = Callbacks(cfg)
    context = HydraContext(config_loader=line.loader, callbacks=callbacks)
    callbacks.on_run_start(config=cfg, config_name=line.root)
    done = run_job(job, cfg, "hydra.run.dir", None, context)
    callbacks.on_run_end(config=cfg, config_name=line.root, job_return=done)
    return done.return_value


def _sweep(line: CommandLine) -> int:
    """Do the jobs of a sweep, then tell how each ended, failures first."""
    job = partial(_sweep_job, mode=line.mode)
    batches: list[list[JobReturn]] = line.hydra.multirun(line.root, job, line.lines)
    jobs = [(done.return_value, list(done.overrides or [])) for batch in batches for done in batch]
    for outcome, overrides in sorted(jobs, key=lambda job: job[0].status == "finished"):
        told = outcome.error or _headline(outcome)
        print(f"{outcome.status:<9}  {outcome.directory}  {' '.join(overrides)}  {told}".rstrip())
    return max(min(EXIT_CODES[outcome.status], 1) for outcome, _ in jobs)


def _headline(outcome: Outcome) -> str:
    returns = outcome.results.get("eval/return_mean", [])
    return f"eval/return_mean {sum(returns) / len(returns):.4g}" if returns else ""


def _sweep_job(cfg: DictConfig, mode: Mode) -> Outcome:
    outcome = _job(cfg, mode)
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    return outcome


def _job(cfg: DictConfig, mode: Mode, typed: list[str] | None = None) -> Outcome:
    """Do one job in its directory. Never raises: it would take the rest of a sweep with it."""
    hydra = HydraConfig.get()
    directory = Path(os.path.relpath(hydra.runtime.output_dir))
    argv = ["marlrun", *(hydra.overrides.task if typed is None else typed)]
    try:
        return mode.run(_plain(cfg), directory, argv)
    except ValueError as error:
        return Outcome("refused", directory, error=_one_line(error))
    except Exception as error:
        (directory / "marlrun.log").write_text(traceback.format_exc(), encoding="utf-8")
        cause = f"{type(error).__name__}: {_one_line(error)}"
        return Outcome("failed", directory, error=f"{cause} (see {directory / 'marlrun.log'})")


def _plain(cfg: DictConfig) -> Config:
    """Return the resolved configuration without Hydra's own node."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return cast(Config, OmegaConf.to_container(own, resolve=True))


def _report(outcome: Outcome) -> int:
    code = EXIT_CODES[outcome.status]
    return _say(outcome.error, code) if outcome.error else code


# Talking


def _say(message: str, code: int) -> int:
    print(f"marlrun: {message}", file=sys.stderr)
    return code


def _one_line(error: BaseException) -> str:
    """Return what an error says, without Hydra's advice that would let a typo through."""
    if isinstance(error, OverrideParseException):
        return f"{error.override}: expected KEY=VALUE, special characters in quotes within quotes"
    text = str(error) or str(error.__cause__ or type(error).__name__)
    text = re.split(r"\n(?:Config search path|Search path|See https|To append|    full_key)", text)[
        0
    ]
    return " ".join(text.split())


def _help(repository: IConfigRepository, schema: Schema) -> str:
    return "\n".join([HELP, *_help_groups(repository), *_help_keys(schema)])


def _help_groups(repository: IConfigRepository) -> Iterator[str]:
    for group, heading in HELP_GROUPS.items():
        if repository.group_exists(group):
            yield f"{heading} ({group}=..):"
            for option in repository.get_group_options(group):
                yield f"  {option:<16} {title(_text(repository, f'{group}/{option}'))}"
            yield ""


def _help_keys(schema: Schema) -> Iterator[str]:
    yield "Keys (KEY=VALUE):"
    for key, rule in schema.rules.items():
        if rule.meaning:
            yield f"  {key:<24} {rule.meaning} [{rule.kind}; {rule.default}]"
