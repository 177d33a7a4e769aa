"""Paths: the home directory in them, links below them, and directories that are made for them.

Nothing is written through a link below a directory that the user named: a command that writes
there calls `refuse_links` before work starts.
"""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def expand_home(path: str, key: str = "") -> str:
    """Return a path with the home directory in place of a leading `~`, or that of `~user`.

    ValueError, in one line that names `key` and the path, if there is none.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        argument, user = f"{key}={path}" if key else path, path.partition("/")[0]
        expected = f"{user} has no home directory; a file of this name is ./{path}"
        raise ValueError(f"{argument}: {expected}") from error


def refuse_links(top: Path, names: Iterable[str]) -> None:
    """Raise ValueError if one of `names` in `top`, or anything below one, is a link.

    `top` itself may be a link, for the user named it. Anything that is neither a regular file nor
    a directory is refused as well, for to open a pipe could take for ever.
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
    """Say whether there is such a directory; there is none with a name that is too long."""
    try:
        return path.is_dir()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def make_directory(directory: Path, key: str) -> list[Path]:
    """Make a directory; return the directories that are new, from the innermost outwards.

    ValueError, which names `key`, if no such directory can be made; OSError if the disk is full or
    broken. In both cases no new directory is left.
    """
    new_directories = [
        path for path in (directory, *directory.parents) if not os.path.lexists(path)
    ]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_directories(new_directories)
        if error.errno in _BROKEN:
            raise
        reason = _obstacle(directory) or f"{error.strerror}: {error.filename}"
        expected = "expected a directory that can be made"
        raise ValueError(f"{key}={directory}: {expected}: {reason}") from error
    return new_directories


def remove_directories(directories: Iterable[Path]) -> None:
    """Remove those of these directories that are empty."""
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()


_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors that mean trouble with the disk, not with the name."""


def _obstacle(directory: Path) -> str | None:
    """Return what stands in the way of a directory; None if nothing does."""
    nearest = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if nearest.is_dir():
        return None
    if nearest.is_symlink():
        return f"{nearest} is a link to {nearest.readlink()}, where there is no directory"
    return f"{nearest} is no directory"
