"""Input files: what a configuration names outside is kept in its run's directory.

As typed, a key of `KEYS` holds any path, or what stands for a file: `shipped` demonstrations, the
run that recovered a reward, the runs that teach. As stored it holds `inputs/HASH-NAME`, the path of a
copy relative to the run's or the sweep's directory: so the configuration tells the content as well,
and what happens to the original changes nothing. Where a key holds a list, `KEY[i]` is the key of an
element.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from marlrun.config.nested import Config, leaves
from marlrun.runner.documents import read_record
from marlrun.system.output import say
from marlrun.system.paths import refuse_links
from marlrun.system.reading import InputFile, read_bytes
from marlrun.system.writing import write_atomically

DEMONSTRATIONS = "algo.demonstrations"
SHIPPED = "shipped"
"""What `algo.demonstrations` holds for the file that marlrun brings for a game."""
REWARD = "algo.reward"
TEACHERS = "algo.teachers"
KEYS = ("graph.file", DEMONSTRATIONS, REWARD, TEACHERS)
"""Keys of a configuration whose value is the path of a file, or a list of such paths."""
_REWARD_FILE = "reward.pt"
"""What `algo.reward` means of a run's directory."""
_TAKES_REWARD = "marlrun.algos.ppo.PPO"
"""Whose `algo.reward` is a path; other algorithms have a key of this name that is none."""
_STORED = re.compile(r"inputs/([0-9a-f]{12})-[^/]+")
_LONGEST_NAME = 100


def read_typed(config: Config, files: dict[str, InputFile] | None = None) -> dict[str, InputFile]:
    """Return the files that a configuration as typed names, by key.

    `files` holds those that were read before, by path, and takes up those that are read now.
    ValueError, in one line that names the key, if one is no regular file or too large.
    """
    files = {} if files is None else files
    paths = {key: _path_of_file(key, path, config) for key, path in _paths(config)}
    for key, path in paths.items():
        if path not in files:
            files[path] = _teacher(key, path, config) if _teaches(key) else _read(key, path)
    return {key: files[path] for key, path in paths.items()}


def read_stored(config: Config, directory: Path) -> dict[str, InputFile]:
    """Return the kept files that a configuration stored in `directory` names, by key.

    Runs that an older version began name the original instead, which is then read, and that is
    said. ValueError, in one line that names the key, if a copy is missing, was changed, or does not
    lie in the directory.
    """
    paths = dict(_paths(config))
    if not paths:
        return {}
    refuse_links(directory, ["inputs"])
    record = read_record(directory)
    is_older = record is not None and "inputs" not in record
    return {
        key: _read_original(key, path, directory)
        if is_older and not _STORED.fullmatch(path)
        else _read_copy(key, path, directory)
        for key, path in paths.items()
    }


def absolute(config: Config) -> dict[str, Any]:
    """Return a configuration as typed with absolute paths."""
    paths = {key: path for key, path in _paths(config) if not _is_shipped(key, path)}
    return put(config, {key: str(Path(path).absolute()) for key, path in paths.items()})


def put(nodes: Config, values: Mapping[str, object]) -> dict[str, Any]:
    """Return a configuration with other values at some dotted keys, or elements `key[i]` of lists."""
    changed = dict(nodes)
    for key, value in values.items():
        group, _, name = key.partition(".")
        name, _, index = name.partition("[")
        if index:
            elements = list(changed[group][name])
            elements[int(index.removesuffix("]"))] = value
            value = elements
        changed[group] = {**changed[group], name: value}
    return changed


def stored(config: Config, files: Mapping[str, InputFile]) -> dict[str, Any]:
    """Return a configuration that names the copies of these files."""
    return put(config, {key: stored_name(file) for key, file in files.items()})


def stored_name(file: InputFile) -> str:
    """Return the path of a file's copy, relative to the directory that keeps it."""
    name = re.sub(r"[^A-Za-z0-9_.,=+-]+", "-", Path(file.path).name)
    # A copy of a copy is called as the copy.
    name = name if _STORED.fullmatch(f"inputs/{name}") is None else name[13:]
    return f"inputs/{file.digest}-{name[-_LONGEST_NAME:]}"


def write(files: Iterable[InputFile], directory: Path) -> None:
    """Write copies of files into `directory`; ValueError if links lie in the way."""
    refuse_links(directory, ["inputs"])
    for file in files:
        path = directory / stored_name(file)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, lambda copy, file=file: copy.write(file.content))


def _paths(config: Config) -> Iterator[tuple[str, str]]:
    for key in KEYS:
        group, _, name = key.partition(".")
        node: Any = config.get(group)
        if not isinstance(node, Mapping):
            continue
        is_path = key != REWARD or cast(Config, node).get("_target_") == _TAKES_REWARD
        if is_path:
            values = leaves(cast(Config, node).get(name), key, into_lists=True)
            yield from ((place, path) for place, path in values if isinstance(path, str))


def _path_of_file(key: str, path: str, config: Config) -> str:
    """Return the path of the file for which a typed path stands."""
    if _is_shipped(key, path):
        from marlrun.runner.demonstrations import shipped  # it imports torch

        return str(shipped(config))
    if key != REWARD or not Path(path).is_dir():
        return path
    file = Path(path) / _REWARD_FILE
    if not file.exists():
        recovering = "expected a run whose learner recovers a reward"
        raise ValueError(f"{key}={path}: no {_REWARD_FILE} in it, {recovering}")
    return str(file)


def _teaches(key: str) -> bool:
    return key.startswith(f"{TEACHERS}[")


def _teacher(key: str, path: str, config: Config) -> InputFile:
    """Return what students need of the run, or the checkpoint, that a typed path names."""
    from marlrun.runner.teacher_runs import pack  # it imports torch

    try:
        return pack(path, config.get("plugins") or [])
    except ValueError as error:
        raise ValueError(f"{key}={path}: {error}") from error


def _is_shipped(key: str, path: str) -> bool:
    return (key, path) == (DEMONSTRATIONS, SHIPPED)


def _read(key: str, path: str) -> InputFile:
    try:
        return InputFile(path, read_bytes(Path(path)))
    except FileNotFoundError as error:
        raise ValueError(f"{key}={path}: no such file") from error
    except OSError as error:
        raise ValueError(f"{key}={path}: expected a file: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{key}={path}: {str(error).removeprefix(f'{path}: ')}") from error


def _read_original(key: str, path: str, directory: Path) -> InputFile:
    file = _read(key, path)
    reason = f"the version that began {directory} kept no copy, it is read as it is now"
    say(f"marlrun: {key}={path}: {reason}")
    return file


def _read_copy(key: str, path: str, directory: Path) -> InputFile:
    match = _STORED.fullmatch(path)
    if match is None:
        older = "a sweep of an earlier version kept none: type its command again"
        raise ValueError(f"{key}={path}: expected a file kept in {directory}/inputs; {older}")
    file = _read(key, str(directory / path))
    if file.digest != match[1]:
        raise ValueError(f"{key}={file.path}: was changed, expected a content of hash {match[1]}")
    return file
