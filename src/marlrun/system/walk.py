"""A walk through directories that finds those of runs and of sweeps."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_Seen = set[tuple[int, int]]
"""Directories that were visited, by device and number: links lead to some more than once."""


HANDING_OUT = ".handing_out"
"""A file in the directory of a sweep, held while a process hands out jobs."""


def is_run(files: Iterable[str]) -> bool:
    """Say whether a directory with these files is a run's."""
    return "run.json" in files or {"config.yaml", "metrics.jsonl"} <= set(files)


def walk(
    tops: Iterable[Path], complain: Callable[[str], object]
) -> Iterator[tuple[Path, list[str]]]:
    """Yield these directories and those below them, each once, with the names of their files.

    Links to directories are followed. Neither what lies within a run, nor a directory below whose
    name begins with a dot is visited. `complain` hears of each directory that cannot be read.
    """
    # Not os.walk, which calls itself for every level.
    seen: _Seen = set()
    pending = list(tops)[::-1]
    while pending:
        path = pending.pop()
        folders, files = _entries(path, seen, complain)
        yield path, files
        if not is_run(files) or "sweep.json" in files:
            names = sorted(name for name in folders if not name.startswith("."))
            pending += [path / name for name in reversed(names)]


def _entries(
    path: Path, seen: _Seen, complain: Callable[[str], object]
) -> tuple[list[str], list[str]]:
    """Return the names of the directories and of everything else in a directory not yet seen."""
    folders: list[str] = []
    files: list[str] = []
    try:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return folders, files
        seen.add(identity)
        with os.scandir(path) as entries:
            for entry in entries:
                (folders if _is_directory(entry) else files).append(entry.name)
    except OSError as error:
        complain(f"{path} ({error.strerror})")
    return folders, files


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
