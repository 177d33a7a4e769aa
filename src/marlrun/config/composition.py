"""What Hydra composes, as plain data."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from marlrun.system.paths import expand_home


def job_config(cfg: DictConfig, groups: Iterable[str]) -> dict[str, Any]:
    """Return a job's resolved configuration without Hydra's node, with a further key `choices`.

    `choices` names the option of each of the `groups`; `choices.tuned` is the file with settings for
    this algorithm and environment, or else for all algorithms in it, or for the algorithm in all
    environments, None if there is none of them.
    ValueError if the run's name could be the path of another directory.
    """
    options = cfg.hydra.runtime.choices
    choices = {group: options[group] for group in groups if options.get(group) is not None}
    # Hydra also names an optional file that does not exist.
    loader = GlobalHydra.instance().config_loader()
    tuned = (
        f"{folder}/{name}".removeprefix("tuned/")
        for folder in _TUNED
        if (name := options.get(f"{folder}@_global_")) in loader.get_group_options(folder)
    )
    choices["tuned"] = next(tuned, None)
    config = plain(cfg)
    _check_name(config["name"])
    return config | {"choices": choices}


_TUNED = "tuned", "tuned/any", "tuned/algo"
"""The groups of files with settings, the most specific first; all that exist apply, one is named."""


def _check_name(name: str | None) -> None:
    if name is not None and ("/" in name or name in (".", "..")):
        raise ValueError(f"name={name}: expected a name without /, other than . and ..")


def directory_label(cfg: DictConfig, run_id: str) -> str:
    """Return what tells a directory apart: ALGO_ENV_NAME_ID of a run, NAME_ID of a sweep.

    Characters other than `[A-Za-z0-9._-]` become `-`. A name of a sweep that interpolates keys is
    left out, since every job has another.
    """
    chosen = cfg.hydra.runtime.choices
    if cfg.hydra.mode == RunMode.MULTIRUN:
        texts = [None if OmegaConf.is_interpolation(cfg, "name") else cfg.name]
    else:
        texts = [chosen.get("algo"), chosen.get("env"), cfg.name]
    words = (re.sub(r"[^A-Za-z0-9._]+", "-", text or "").strip("._-") for text in texts)
    label = "_".join(filter(None, words))[: _LONGEST - len(run_id) - 1].rstrip("._-")
    return "_".join(filter(None, [label, run_id]))


_LONGEST = 60
"""Characters of a directory's label."""


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration without Hydra's node."""
    without_hydra = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return cast(dict[str, Any], OmegaConf.to_container(without_hydra, resolve=True))


def name_directory(cfg: DictConfig, key: str) -> Path:
    """Return the directory that `key`, hydra.run.dir or hydra.sweep.dir, names, without `~`.

    `cfg` is changed to name it so too. ValueError if it is the current directory, home or /, where
    the files of a run would lie among others.
    """
    text = str(OmegaConf.select(cfg, key))
    directory = Path(expand_home(text, key))
    shared_directories = [Path.cwd(), Path("/")]
    with suppress(RuntimeError):  # No home directory is known.
        shared_directories.append(Path.home())
    if any(_is_same(directory, path) for path in shared_directories):
        expected = "expected a directory other than the current one, home and /"
        raise ValueError(f"{key}={text}: {expected}")
    with read_write(cfg.hydra):
        OmegaConf.update(cfg, key, str(directory))
    return directory


def _is_same(directory: Path, path: Path) -> bool:
    with suppress(OSError):
        return directory.samefile(path)
    return False


def refuse_output_subdir(cfg: DictConfig) -> None:
    """Raise ValueError if Hydra is to write its files into a run directory."""
    subdir = cfg.hydra.output_subdir
    if subdir is not None:
        raise ValueError(
            f"hydra.output_subdir={subdir}: expected null, marlrun itself writes config.yaml"
        )


def literal(value: Any) -> Any:
    """Return a value with its texts escaped, so that OmegaConf interpolates nothing in them."""
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", lambda match: rf"{match[1] * 2}\${{", value)
    if isinstance(value, list):
        return [literal(inner) for inner in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in cast("dict[Any, Any]", value).items()}
    return value
