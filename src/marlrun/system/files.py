"""Files: read with care, for a stranger may have written them; written as a whole or not at all.

Nothing is written through a link below a directory that somebody named: whoever writes there calls
`refuse_links` before work starts, and files that grow are opened by `appending`.
"""

import errno
import json
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml

from marlrun.system.output import say_once

LARGEST = 1 << 28
"""Bytes of a document that are still read: sweep.json of a hundred thousand jobs."""
DEEPEST = 64
"""Levels of nesting that are still read."""
MOST_NODES = 200_000
"""Values of a YAML document that are still read, each counted as often as aliases repeat it."""


@contextmanager
def opened(path: Path) -> Generator[BinaryIO]:
    """Lend a regular file to read.

    ValueError, in one line that names the file, for anything that is none: a pipe would keep us
    waiting. OSError if it cannot be opened.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _NONBLOCK | _CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path}: expected a regular file")
        yield file


def read_bytes(path: Path, limit: int = LARGEST) -> bytes:
    """Return what a regular file holds; ValueError for more than `limit` bytes, or as `opened`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ValueError(f"{path}: {size} bytes, expected at most {limit}")
        return file.read()


@dataclass(frozen=True)
class InputFile:
    """A file that a configuration names: its path, as messages name it, and its content."""

    path: str
    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the content's SHA-256."""
        return sha256(self.content).hexdigest()[:12]


def read_text(path: Path, limit: int = LARGEST) -> str:
    """Return the UTF-8 text of a regular file; ValueError and OSError as `read_bytes`."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, byte {error.start} is none") from error


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    ValueError, in one line that names the file, if it is not JSON or nested too deeply; otherwise
    as `read_bytes`.
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
    """Return what a plain YAML file holds: no tags, and nothing is interpolated.

    ValueError, in one line that names the file, if it is not plain YAML, nested too deeply or
    larger than `MOST_NODES` with its aliases written out; otherwise as `read_bytes`.
    """
    text = read_text(path)
    try:
        _refuse_unusual(text, path)
        content: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        named = reason if str(path) in reason else f"{path} is not plain YAML: {reason}"
        raise ValueError(named) from error
    if sum(1 for _ in islice(_inner(content), MOST_NODES + 1)) > MOST_NODES:
        raise ValueError(f"{path}: expected at most {MOST_NODES} values, aliases written out")
    return content


def _refuse_unusual(text: str, path: Path) -> None:
    """Raise ValueError for what the loader must not meet.

    It calls itself for every level, in C, and would crash; it writes merged mappings out as often
    as aliases repeat them; and of some tags it expects a value that it does not check.
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
"""Aliases by which merge keys cannot grow beyond a few thousand values."""
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
    """Yield everything in nested lists and mappings, as often as it stands there."""
    pending = [content]
    while pending:
        value = pending.pop()
        yield value
        pending.extend(_parts(value))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def expand_home(path: str, key: str = "") -> str:
    """Return a path with the home directory in place of a leading `~`, or that of `~user`.

    ValueError, in one line that names `key` and the path, if there is none.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        named, user = f"{key}={path}" if key else path, path.partition("/")[0]
        expected = f"{user} has no home directory; a file of this name is ./{path}"
        raise ValueError(f"{named}: {expected}") from error


def refuse_links(top: Path, names: Iterable[str]) -> None:
    """Raise ValueError if one of `names` in `top`, or anything below one, is a link.

    `top` itself was named by somebody and may be one. Whatever is neither a regular file nor a
    directory is refused as well: a pipe would keep us waiting.
    """
    for name in names:
        _refuse_link(top / name)


def _refuse_link(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise ValueError(f"{path} is a link: nothing is written through links; {_WAY_OUT}")
        if stat.S_ISDIR(mode):
            for entry in sorted(path.iterdir()):
                _refuse_link(entry)
        elif not stat.S_ISREG(mode):
            raise ValueError(f"{path}: expected a regular file or a directory")


_WAY_OUT = "replace the link by what it leads to"


def is_directory(path: Path) -> bool:
    """Say whether there is a directory of this name; there is none of a name that is too long."""
    try:
        return path.is_dir()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def make_directory(directory: Path, key: str) -> list[Path]:
    """Make a directory; return what was not there before, the directory itself first.

    ValueError that names `key` if there can be none of this name; OSError if the disk is full or
    broken. In both cases nothing is left behind.
    """
    made = [path for path in (directory, *directory.parents) if not os.path.lexists(path)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_directories(made)
        if error.errno in _BROKEN:
            raise
        reason = _obstacle(directory) or f"{error.strerror}: {error.filename}"
        expected = "expected a directory that can be made"
        raise ValueError(f"{key}={directory}: {expected}: {reason}") from error
    return made


def remove_directories(directories: Iterable[Path]) -> None:
    """Remove those of these directories that are empty."""
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()


_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors of the disk, not of the name."""


def _obstacle(directory: Path) -> str | None:
    """Say what lies where a directory or one above it should be."""
    nearest = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if nearest.is_dir():
        return None
    if nearest.is_symlink():
        return f"{nearest} is a link to {nearest.readlink()}, where there is no directory"
    return f"{nearest} is no directory"


def appending(path: Path) -> BinaryIO:
    """Open a regular file to write at its end, making it if need be.

    OSError if it is a link or no regular file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NOFOLLOW | _NONBLOCK | _CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o666), "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "expected a regular file", str(path))
    return file


def separate(path: Path) -> bool:
    """Copy a file that has another name as well (a hard link), which keeps what it has.

    Returns whether there was one. A lock that is held on the file stays with the other name.
    """
    with suppress(FileNotFoundError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            content = path.read_bytes()
            write_atomically(path, lambda file: file.write(content))
            return True
    return False


_NOFOLLOW, _NONBLOCK, _CLOEXEC = (
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")
)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, force it to the disk and move it into place.

    If that fails, `path` is as it was and no half file is left; an OSError names `path`.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    # What lies there may be a link to something else.
    unfinished.unlink(missing_ok=True)
    try:
        with unfinished.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = str(path)
        raise
    _sync_directory(path.parent)


@contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Generator[None]:
    """Wait until no other process is in here with the same `path`; it is a file, made if need be.

    BlockingIOError instead of waiting if not `wait`. On a file system without locks nobody waits
    for anybody: that is said once.
    """
    with appending(path) as file:
        _lock(file, wait)
        yield


def _lock(file: BinaryIO, wait: bool) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise BlockingIOError(*error.args) from error
        reason = f"no locks on this file system ({error.strerror})"
        say_once(f"marlrun: {reason}: let no other process write to the same directory")


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
