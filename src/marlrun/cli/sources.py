"""Where Hydra finds configuration files, and the care with which those of a user are read."""

import re
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import (
    CachingConfigRepository,
    ConfigRepository,
    IConfigRepository,
)
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from marlrun.config.schema import Schema, did_you_mean
from marlrun.config.tasks import TASKS, completed
from marlrun.system.paths import expand_home
from marlrun.system.reading import read_text, read_yaml

_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|[1-9][\d_]*(:[0-5]?\d)+(\.[\d_]*)?)")
"""Numbers to the base of 8 (010 is 8) and 60 (1:30 is 90)."""
_HEADER = re.compile(r"\ufeff?\s*#\s*@package\s+\S+\s*")


def search_path(config_dir: str | None) -> ConfigSearchPath:
    """Return where config files are looked for: marlrun's, then the user's `config_dir`."""
    path = create_config_search_path("pkg://marlrun.conf")
    if config_dir is not None:
        directory = Path(expand_home(config_dir, "--config-dir"))
        if not config_dir or not directory.is_dir():
            raise ValueError(f"--config-dir={config_dir}: no such directory")
        where = f"file://{directory.resolve()}"
        path.prepend("command-line", where, anchor=SearchPathQuery(provider="schema"))
    return path


class Repository(ConfigRepository):
    """All files of a search path; an error names the file it is about."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Take the directories of a search path; ValueError for one that does not exist."""
        super().initialize_sources(config_search_path)
        for source in self.sources:
            if source.scheme() == "file":
                source.path = expand_home(source.path, "hydra.searchpath")
            # Hydra would warn, and go on without it.
            if source.provider.startswith("hydra.searchpath") and not source.available():
                raise ValueError(f"hydra.searchpath={source.full_path()}: no such directory")

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Read a file; ValueError, in one line, if it cannot be a part of a configuration."""
        source = next((source for source in self.sources if source.is_config(config_path)), None)
        if source is not None and source.scheme() == "file":
            _check_file(Path(source.path) / _file_name(config_path))
        return super().load_config(config_path)


def _file_name(config_path: str) -> str:
    """Return the name of a file, which Hydra takes with and without its ending."""
    return f"{config_path.removesuffix('.yaml')}.yaml"


def _check_file(path: Path) -> None:
    """Raise ValueError unless a file is a mapping within bounds that says what it seems to say."""
    content = read_yaml(path)
    if not isinstance(content, dict | None):
        raise ValueError(f"{path}: expected a mapping of keys to values")
    text = read_text(path)
    _refuse_other_bases(text, path)
    _refuse_hidden_header(text, path)


def _refuse_other_bases(text: str, path: Path) -> None:
    for token in cast(Any, yaml).scan(text, Loader=yaml.CSafeLoader):
        is_plain = isinstance(token, yaml.ScalarToken) and token.plain
        if is_plain and _OTHER_BASE.fullmatch(token.value):
            value, line = yaml.safe_load(token.value), token.start_mark.line + 1
            reading = f"YAML reads {token.value} on line {line} as {value}"
            raise ValueError(f'{path}: {reading}: expected "{token.value}" in quotes, or {value}')


def _refuse_hidden_header(text: str, path: Path) -> None:
    """Raise ValueError if a file has a `# @package` line where Hydra takes it for a comment."""
    try:
        package = ConfigSource._get_header_dict(text)["package"]  # pyright: ignore[reportPrivateUsage]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    lines = [] if package else text.splitlines()
    for number, line in enumerate(lines, start=1):
        if _HEADER.fullmatch(line):
            where = f"line {number}" + (" after a byte order mark" if "\ufeff" in line else "")
            header, expected = line.strip("\ufeff \t"), "expected at the beginning of the file"
            raise ValueError(f"{path}: {header} is on {where}, {expected}")


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which also shows where it reads, and expands `~` where a key takes a path."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = Repository(config_search_path)
        self.paths: set[str] = set()
        """Keys that take a path, whatever groups are chosen."""
        self._with_searchpath: IConfigRepository = self.repository

    def repository_of(self, root: str, overrides: list[Override]) -> CachingConfigRepository:
        """Return all files of the search path, with what `hydra.searchpath` adds to it."""
        repository = CachingConfigRepository(self.repository)
        self._process_config_searchpath(root, overrides, repository)
        self._with_searchpath = repository
        return repository

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose a configuration, with tasks completed from their games' files.

        ValueError, in one line, for a task that is no good, or for `~user` if there is no such user.
        """
        cfg = super().load_configuration(*args, **kwargs)
        self._complete_tasks(cfg)
        for key in self.paths:
            _expand_home(cfg, key)
        return cfg

    def _complete_tasks(self, cfg: DictConfig) -> None:
        """Give the tasks in `env.tasks` all keys of their games; mode=eval names no environment."""
        env = OmegaConf.select(cfg, "env")
        if not isinstance(env, DictConfig) or OmegaConf.is_missing(env, "tasks"):
            return
        node = cast(dict[str, Any], OmegaConf.to_container(env, resolve=True))
        if "tasks" in node and (
            node["_target_"] == TASKS if "_target_" in node else _are_tasks(node["tasks"])
        ):
            with open_dict(cfg):
                cfg.env.tasks = completed(node["tasks"], self._game)

    def _game(self, name: str, key: str) -> Schema:
        """Return what the file of a game takes, as keys that begin with `key`; it may have defaults."""
        repository = self._with_searchpath
        if not repository.config_exists(f"env/{name}"):
            games = repository.get_group_options("env")
            expected = f"expected {' | '.join(games)}{did_you_mean(name, games)}"
            raise ValueError(f"{key}.name={name}: {expected}")
        schema = Schema()
        for default in create_defaults_list(repository, f"env/{name}", [], True, False).defaults:
            path = str(default.config_path)
            if path.startswith("env/"):
                loaded = repository.load_config(path)
                assert loaded is not None
                values = cast(dict[str, Any], OmegaConf.to_container(loaded.config, resolve=False))
                schema.read(key, values, text_of(repository, path), may_add=True)
        return schema


def _are_tasks(value: Any) -> bool:
    """Say whether a value that mode=eval puts into an environment is a list of tasks as typed."""
    tasks = cast("list[Any]", value) if isinstance(value, list) else [value]
    return all(isinstance(task, dict) and "name" in task for task in tasks)


def text_of(repository: IConfigRepository, path: str) -> str:
    """Return a config file as written; "" for one that is no file but a structured config.

    ValueError, in one line, if a user's file is not UTF-8.
    """
    for source in repository.get_sources():
        if source.is_config(path):
            if source.scheme() == "file":
                return read_text(Path(source.path) / _file_name(path))
            if source.scheme() == "pkg":
                file = resources.files(source.path) / _file_name(path)
                return file.read_text(encoding="utf-8")
            break
    return ""


def _expand_home(cfg: DictConfig, key: str) -> None:
    """Expand `~` in the path at a key, or in the paths of the list there."""
    value = OmegaConf.select(cfg, key)
    if isinstance(value, ListConfig):
        for index in range(len(value)):
            _expand_home(cfg, f"{key}[{index}]")
    elif isinstance(value, str) and value.startswith("~"):
        OmegaConf.update(cfg, key, expand_home(value, key))
