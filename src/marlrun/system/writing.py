"""Writes files as a whole or not at all, or at their end; never through a link."""

import errno
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from marlrun.system.output import say_once


def appending(path: Path) -> BinaryIO:
    """Open a regular file to write at its end; it is made if it does not exist.

    OSError if the path is a link or no regular file.
    """
    file = os.fdopen(os.open(path, _TO_APPEND, 0o666), "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "expected a regular file", str(path))
    return file


_ONLY_POSIX = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TO_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | _ONLY_POSIX


def separate(path: Path) -> bool:
    """Replace a file that has other names (hard links) by a copy, and return whether it had any.

    Later changes do not reach the other names. A lock on the file stays with them.
    """
    with suppress(FileNotFoundError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            content = path.read_bytes()
            write_atomically(path, lambda file: file.write(content))
            return True
    return False


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, force it to the disk and move it into place.

    If that fails, `path` is as it was and no half file is left; an OSError names `path`.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    # An older file of this name may be a link to another file.
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
    """Hold a lock on the file `path` within the context; the file is made if it does not exist.

    While another process holds the lock, wait for it, or raise BlockingIOError if not `wait`. On a
    file system without locks nothing is locked, and a line on stderr says so once.
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


def is_held(path: Path) -> bool:
    """Say whether a process is in `exclusive` with this file; True where nobody can tell.

    Nothing is written, so that it may be asked of a stranger's file.
    """
    try:
        import fcntl
    except ImportError:
        return True
    with suppress(FileNotFoundError), os.fdopen(os.open(path, os.O_RDONLY | _ONLY_POSIX)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
