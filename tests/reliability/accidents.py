"""What happens to a process: it is killed, gets a signal, or its disk is full, at a chosen moment."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_CHANGES = {"os.rename": 0, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0}
"""Audit events that change files, and which of their arguments is the path."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def counted(top: Path, result: Path) -> Callable[[], None]:
    """Return an accident that only counts the file events below `top`; the number is in `result`."""

    def begin() -> None:
        count = 0

        def happen() -> None:
            nonlocal count
            count += 1
            with result.open("w") as file:
                file.write(str(count))

        _at_file_events(top, happen)

    return begin


def killed_at(top: Path, number: int) -> Callable[[], None]:
    """Return an accident: SIGKILL just before file event `number` below `top`."""
    return lambda: _at_file_events(top, _once(number, lambda: os.kill(os.getpid(), signal.SIGKILL)))


def full_from(top: Path, number: int) -> Callable[[], None]:
    """Return an accident: from file event `number` below `top` on, the disk is full."""
    left = number

    def happen() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: _at_file_events(top, happen)


def signalled_after(seconds: float, *numbers: int) -> Callable[[], None]:
    """Return an accident: after some time the process gets these signals."""

    def handle(number: int, frame: object) -> None:
        for each in numbers:
            os.kill(os.getpid(), each)

    def begin() -> None:
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return begin


def _once(number: int, do: Callable[[], object]) -> Callable[[], None]:
    left = number

    def happen() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            do()

    return happen


def _at_file_events(top: Path, happen: Callable[[], None]) -> None:
    """Call `happen` before every event that changes a file below `top`, and before every fsync."""
    prefix = str(top.absolute())
    busy = False

    def is_below(path: object) -> bool:
        # A number is a file that is open already, such as standard output.
        is_path = isinstance(path, str | bytes | os.PathLike)
        return is_path and str(Path.cwd() / os.fsdecode(path)).startswith(prefix)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal busy
        is_writing = event == "open" and bool(int(arguments[2] or 0) & _WRITING)  # type: ignore
        place = 0 if is_writing else _CHANGES.get(event)
        if place is None or busy or not is_below(arguments[place]):
            return
        busy = True
        try:
            happen()
        finally:
            busy = False

    fsync = os.fsync

    def watched(descriptor: int) -> None:
        happen()
        fsync(descriptor)

    os.fsync = watched
    sys.addaudithook(hook)
