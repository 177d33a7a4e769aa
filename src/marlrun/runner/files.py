"""Files that are whole or absent, whatever happens while they are written, and locks."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, force it to the disk and move it into place."""
    unfinished = path.with_name(f".{path.name}.tmp")
    # What lies there may be a link to something else.
    unfinished.unlink(missing_ok=True)
    with unfinished.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_directory(path.parent)


@contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Generator[None]:
    """Wait until no other process is in here with the same `path`; it is an empty file.

    BlockingIOError instead of waiting if not `wait`.
    """
    with path.open("ab") as file:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
