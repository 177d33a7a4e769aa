"""Reads files that a stranger may have written: within limits of size and depth."""

import json
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml

from marlrun.system.errors import one_line

LARGEST = 1 << 28
"""Larger documents, in bytes, are refused; this is sweep.json of a hundred thousand jobs."""
DEEPEST = 64
"""Documents with more levels of nesting are refused."""
MOST_NODES = 200_000
"""YAML documents of more values are refused; a value counts as often as aliases repeat it."""


@contextmanager
def opened(path: Path) -> Generator[BinaryIO]:
    """Open a regular file to read, and close it after the context.

    ValueError, in one line that names the file, for anything but a regular file: to read a pipe
    could take for ever. OSError if the file cannot be opened.
    """
    with os.fdopen(os.open(path, _TO_READ), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path}: expected a regular file")
        yield file


_TO_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # Windows knows no O_NONBLOCK


def read_bytes(path: Path, limit: int = LARGEST) -> bytes:
    """Return the bytes of a regular file; ValueError for more than `limit`, or as in `opened`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ValueError(f"{path}: {size} bytes, expected at most {limit}")
        return file.read()


@dataclass(frozen=True)
class InputFile:
    """A file that a configuration names: its path, for messages, and its content."""

    path: str
    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the content's SHA-256."""
        return sha256(self.content).hexdigest()[:12]


def read_text(path: Path, limit: int = LARGEST) -> str:
    """Return the UTF-8 text of a regular file; ValueError and OSError as in `read_bytes`."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, byte {error.start} is none") from error


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    ValueError, in one line that names the file, if it is not JSON or nested too deeply; otherwise
    as in `read_bytes`.
    """
    try:
        content: Any = json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError(f"{path}: {_TOO_DEEP}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except ValueError as error:
        # An integer of more digits than Python takes.
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path} is not JSON: {text}") from error
    _refuse_depth(content, path)
    return content


def read_yaml(path: Path) -> Any:
    """Return what a plain YAML file holds; tags are refused, and nothing is interpolated.

    ValueError, in one line that names the file, if it is not plain YAML, nested too deeply or
    larger than `MOST_NODES` with its aliases written out; otherwise as in `read_bytes`.
    """
    text = read_text(path)
    try:
        _refuse_unusual(text, path)
        content: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        reason = one_line(error)
        named = reason if str(path) in reason else f"{path} is not plain YAML: {reason}"
        raise ValueError(named) from error
    if sum(1 for _ in islice(_inner(content), MOST_NODES + 1)) > MOST_NODES:
        raise ValueError(f"{path}: expected at most {MOST_NODES} values, aliases written out")
    return content


def is_number(text: str) -> bool:
    """Say whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_unusual(text: str, path: Path) -> None:
    """Raise ValueError for a text that would harm the loader.

    The loader calls itself for every level, in C, and would crash. It copies merged mappings as
    often as aliases repeat them. For some tags it expects a value that it does not check.
    """
    depth = aliases = 0
    has_merges = False
    for event in cast(Any, yaml).parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"{path}: {_TOO_DEEP}")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"{path} is not plain YAML: the tag {event.tag}")
        aliases += isinstance(event, yaml.AliasEvent)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            has_merges = True
    if has_merges and aliases > _MERGED:
        raise ValueError(f"{path}: expected at most {_MERGED} aliases beside merge keys <<")


_MERGED = 20
"""With so many aliases, merge keys make at most a few thousand values."""
_TOO_DEEP = f"nested too deeply, expected at most {DEEPEST} levels"


def _refuse_depth(content: Any, path: Path) -> None:
    """Raise ValueError if lists and mappings are nested too deeply."""
    level = [content]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _parts(outer) if isinstance(inner, _NESTED)]
    if level:
        raise ValueError(f"{path}: {_TOO_DEEP}")


_NESTED = (dict, list)


def _inner(content: Any) -> Iterator[Any]:
    """Yield every value in nested lists and mappings, as often as it occurs."""
    pending = [content]
    while pending:
        value = pending.pop()
        yield value
        pending.extend(_parts(value))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
