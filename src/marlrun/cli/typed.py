"""What is typed, before it is checked against the configuration files."""

import argparse
import re

from hydra.core.override_parser.types import Override

from marlrun.cli.modes import MODES, Mode
from marlrun.config.schema import did_you_mean

_PLACES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
_FILLED_IN = (
    *("hydra.mode.", "hydra.overrides.", "hydra.runtime."),
    *("hydra.job.num.", "hydra.job.id.", "hydra.job.config_name.", "hydra.job.override_dirname."),
)
"""Keys that Hydra, or marlrun, overwrites, whatever was typed for them."""
_TILDE = re.compile(r"(?<![^=,\[(: ])~[^,\])]*")
"""A value, perhaps one of several, that begins with `~`."""


def quoted(override: str) -> str:
    """Return an override with quotes around what Hydra could not read.

    That is a path to a run, for names of jobs hold `=` and `,`, and a value that begins with `~`.
    """
    key, _, value = override.partition("=")
    is_run = key == "run" or key.startswith("agents.")
    if is_run or (key == "checkpoint" and "/" in value):
        is_quoted = value[:1] in ("", "'", '"', "?")
        return override if is_quoted else f"{key}={_quoted(value)}"
    if "'" in value or '"' in value:
        return override
    return f"{key}={_TILDE.sub(lambda match: _quoted(match[0]), value)}" if value else override


def _quoted(text: str) -> str:
    # To Hydra a backslash is only special before a quote.
    escaped = re.sub(
        r"(\\*)('|\Z)", lambda match: match[1] * 2 + match[2].replace("'", "\\'"), text
    )
    return f"'{escaped}'"


def adding(overrides: list[str], dicts: list[str]) -> list[str]:
    """Return overrides as Hydra wants them where further keys may be added to `dicts`."""
    starts = tuple(f"{node}{mark}" for node in dicts for mark in (".", "={"))
    return [f"++{word}" if word.startswith(starts) else word for word in overrides]


def check_flags(flags: argparse.Namespace) -> None:
    """Raise ValueError for flags of Hydra that marlrun does not take."""
    if flags.config_path:
        raise ValueError("--config-path: use --config-dir DIR, it adds to what marlrun has")
    if flags.experimental_rerun:
        raise ValueError("--experimental-rerun: use mode=resume run=DIR")
    tasks = {"--cfg": flags.cfg, "--info": flags.info, "-m": flags.multirun, "-r": flags.run}
    names = [name for name, value in tasks.items() if value]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)}: expected only one of them")


def mode_of(overrides: list[Override]) -> Mode:
    """Return the mode that `mode=` names; ValueError if there is none of this name."""
    modes = [override for override in overrides if override.key_or_group == "mode"]
    mode = modes[-1].get_value_string() if modes else "train"
    if mode not in MODES:
        raise ValueError(f"mode={mode}: expected {' | '.join(MODES)}{did_you_mean(mode, MODES)}")
    return MODES[mode]


def check_places(mode: Mode, flags: argparse.Namespace, overrides: list[Override]) -> None:
    """Raise ValueError for a key of Hydra's that would be read and change nothing."""
    keys = [override.key_or_group for override in overrides]
    places = [key for key in keys if key in _PLACES]
    runs = not (flags.help or flags.cfg or flags.info)
    if not mode.makes_directory and (flags.multirun or places):
        raise ValueError(f"{(places or ['-m'])[0]}: only mode=train has run directories")
    if flags.multirun and {"hydra.run.dir", "hydra.sweep.dir"} <= set(places):
        raise ValueError("hydra.run.dir and hydra.sweep.dir: expected only one of them")
    for key in places:
        if key.startswith("hydra.sweep.") and runs and not flags.multirun:
            raise ValueError(f"{key}: only a sweep has it; expected hydra.run.dir=DIR, or -m too")
    for key in keys:
        if f"{key}.".startswith(_FILLED_IN):
            raise ValueError(f"{key}: Hydra sets it, expected that you leave it out")
