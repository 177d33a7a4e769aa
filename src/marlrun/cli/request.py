"""A command line as it is read: its flags, its mode, and the keys that its files take."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from hydra import version as hydra_version
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from marlrun.cli.modes import Mode
from marlrun.cli.overrides import Checker
from marlrun.cli.sources import Loader, search_path
from marlrun.cli.typed import adding, check_flags, check_places, mode_of, quoted
from marlrun.config.composition import directory_label
from marlrun.config.schema import Schema


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


def parse(argv: Sequence[str]) -> tuple[Parser, argparse.Namespace]:
    """Return the parser of Hydra's flags and what it reads in `argv`; ValueError for a mistake."""
    parser = Parser(prog="marlrun", add_help=False, parents=[get_args_parser()])
    flags = parser.parse_intermixed_args(argv)
    flags.overrides = list(map(quoted, flags.overrides))
    check_flags(flags)
    return parser, flags


def start_hydra(config_dir: str | None) -> Hydra:
    """Start Hydra with marlrun's files and the user's, and the resolver that names directories."""
    hydra_version.setbase("1.3")
    hydra = Hydra("marlrun", Loader(search_path(config_dir)))
    GlobalHydra.instance().initialize(hydra)
    # Runs started in the same second must not meet.
    run_id = os.urandom(3).hex()

    def label(*, _root_: DictConfig) -> str:
        return directory_label(_root_, run_id)

    OmegaConf.register_new_resolver("label", label, replace=True)
    return hydra


def read_request(argv: list[str], flags: argparse.Namespace, hydra: Hydra) -> Request:
    """Return what a command line asks for; ValueError unless its files take every key and value."""
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
    swept = [
        override.get_key_element().lstrip("+")
        for override in overrides
        if override.is_sweep_override()
    ]
    schema = checker.check(overrides)
    loader.paths = checker.paths
    flags.overrides = adding(flags.overrides, schema.dicts)
    return Request(argv, flags, mode, root, hydra, repository, schema, list(dict.fromkeys(swept)))
