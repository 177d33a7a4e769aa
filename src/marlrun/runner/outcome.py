"""How a job ended: what the runner tells the command line. Imports nothing heavy."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from marlrun.system.errors import one_line, with_type
from marlrun.system.writing import appending, separate

Status = Literal["finished", "interrupted", "failed", "refused"]


@dataclass(frozen=True)
class Outcome:
    """A job's end. `refused`: wrong input, nothing was done; the runner raises ValueError for it."""

    status: Status
    directory: Path | None = None
    results: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Tag -> one number per seed."""
    error: str | None = None
    """One line; None unless failed or refused."""


def attempt(work: Callable[[], Outcome], directory: Path) -> Outcome:
    """Do a job in `directory`; an exception is an outcome too, its traceback in marlrun.log."""
    try:
        return work()
    except ValueError as error:
        return Outcome("refused", directory, error=one_line(error))
    except Exception as error:
        cause = with_type(error)
        if log_traceback(directory):
            cause = f"{cause} (traceback in {directory / 'marlrun.log'})"
        return Outcome("failed", directory, error=cause)


def log_traceback(directory: Path) -> bool:
    """Write the exception that is being handled to marlrun.log; say whether the disk took it."""
    with suppress(OSError), open_log(directory) as file:
        file.write(traceback.format_exc().encode("utf-8", "backslashreplace"))
        return True
    return False


def open_log(directory: Path) -> BinaryIO:
    """Open marlrun.log to write at its end; another name of the file keeps what it has."""
    separate(directory / "marlrun.log")
    return appending(directory / "marlrun.log")
