"""What the tab key offers: the keys and groups that a mode takes, and the words among which they choose."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from marlrun.cli.modes import MODES, Mode
from marlrun.cli.overrides import Checker
from marlrun.cli.sources import Loader
from marlrun.config.kinds import words_of
from marlrun.config.schema import Schema

_OF_SWEEPS = ("experiment", "hydra/launcher", "hydra/sweeper")
"""Groups that only a mode with run directories takes."""


def complete(loader: Loader, line: str) -> list[str]:
    """Return what the last word of a command line, perhaps empty, can become."""
    *words, word = line.split(" ")[1:] or [""]
    modes = [text.removeprefix("mode=") for text in words if text.startswith("mode=")]
    mode = MODES.get(modes[-1] if modes else "train", MODES["train"])
    groups = [*mode.groups, *(_OF_SWEEPS if mode.makes_directory else ())]
    key, equals, value = word.partition("=")
    group = key.lstrip("+")
    if not equals:
        offers = _names(_schema(loader, mode, words), groups)
    elif group in groups:
        options = loader.repository_of(mode.root, []).get_group_options(group)
        # In a sweep, options stand between commas.
        previous = value[: value.rfind(",") + 1]
        offers = [f"{key}={previous}{option}" for option in options]
    else:
        offers = [f"{key}={text}" for text in _values(_schema(loader, mode, words), key, value)]
    return sorted({offer for offer in offers if offer.startswith(word)})


def _schema(loader: Loader, mode: Mode, words: Iterable[str]) -> Schema:
    """Return the keys that a mode takes with the options chosen by `words`; none for a wrong one."""
    parser = OverridesParser.create(config_loader=loader)
    repository = loader.repository_of(mode.root, [])
    checker = Checker(
        mode.root, (), runs=False, is_sweep=True, parser=parser, repository=repository
    )
    choices = [word for word in words if word.partition("=")[0].lstrip("+") in mode.groups]
    try:
        return checker.check(parser.parse_overrides(choices))
    except (ValueError, HydraException):
        return Schema()


def _names(schema: Schema, groups: Sequence[str]) -> list[str]:
    """Return all that can stand before a value, with the `=` or `.` behind it."""
    keys = [key for key in schema.rules if key not in schema.dicts]
    names = ["+experiment" if group == "experiment" else group for group in groups]
    return [*(f"{name}=" for name in [*keys, *names]), *(f"{key}." for key in schema.dicts)]


def _values(schema: Schema, key: str, start: str) -> list[str]:
    """Return what may stand behind a key, of paths those that begin with `start`."""
    if key == "mode":
        return list(MODES)
    kinds = schema.rules[key].kind.split(" or ") if key in schema.rules else []
    if "path" in kinds or key.startswith("agents."):
        directory = start[: start.rfind("/") + 1]
        paths = [f"{path.name}{'/' * path.is_dir()}" for path in Path(directory or ".").glob("*")]
        words = [word for kind in kinds if kind != "path" for word in kind.split(" | ")]
        return [*words, *(f"{directory}{path}" for path in paths)]
    words = ["true", "false"] if "bool" in kinds else words_of(" or ".join(kinds))
    return [*words, *(["null"] if "null" in kinds else [])]
