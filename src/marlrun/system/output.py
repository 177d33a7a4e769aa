"""Output: results go to stdout, progress and errors go to stderr.

A closed terminal, a pipe whose reader has gone, or a full disk must not end any work, so all output
goes through these functions.
"""

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def say(line: str) -> None:
    """Write one line of progress to stderr."""
    if not _SILENT.get():
        _write(sys.stderr, line)


_SILENT = ContextVar("silent", default=False)


@contextmanager
def silence() -> Generator[None]:
    """Within the context `say` writes nothing: a program that uses marlrun has stderr to itself."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def say_once(line: str) -> None:
    """Write a line to stderr unless this process has said it before."""
    if line not in _SAID:
        _SAID.add(line)
        say(line)


_SAID: set[str] = set()


def write(line: str) -> None:
    """Write one line of results to stdout."""
    _write(sys.stdout, line)


def _write(stream: TextIO | None, line: str) -> None:
    with suppress(OSError, ValueError):  # ValueError: it is closed
        if stream is not None:
            stream.write(line + "\n")
            stream.flush()


def protect() -> None:
    """Replace sys.stdout and sys.stderr by streams to which writing never fails.

    A stream that is missing or broken drops everything, as /dev/null does.
    """
    _occupy_missing()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    sys.stdout, sys.stderr = (
        forgiving(number, getattr(stream, "encoding", "utf-8"))
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
    )


def forgiving(descriptor: int, encoding: str = "utf-8") -> TextIO:
    """Return a text stream on an open descriptor that drops what cannot be written.

    Every line is written at once. Closing the stream leaves the descriptor open.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def refuse_lost_results() -> None:
    """Raise the OSError by which stdout lost results, if there was one that is not ignored.

    This is for commands whose results stand nowhere else. The error is ignored if the reader of
    stdout has gone or was never there.
    """
    descriptor = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(descriptor, _Descriptor) and descriptor.error is not None:
        raise descriptor.error


class _Descriptor(io.FileIO):
    """A descriptor that drops what cannot be written, and keeps the first error for later."""

    def __init__(self, number: int):
        super().__init__(number, "wb", closefd=False)
        self.error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of `data`, or drop it; return how many bytes were written or dropped."""
        try:
            num_bytes: int | None = super().write(data)
            if num_bytes is None:  # The pipe is full and does not block; its reader may be slow.
                select.select([], [self.fileno()], [], _PATIENCE)
                num_bytes = super().write(data)
            return memoryview(data).nbytes if num_bytes is None else num_bytes
        except OSError as error:
            if self.error is None and not self._has_lost_its_reader(error):
                self.error = OSError(error.errno, error.strerror, "standard output")
            return memoryview(data).nbytes

    def _has_lost_its_reader(self, error: OSError) -> bool:
        is_file = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        return not is_file and error.errno in _READER_GONE


_PATIENCE = 5.0
"""How many seconds to wait for a slow reader of a stream that does not block."""
_READER_GONE = (errno.EPIPE, errno.EIO, errno.ECONNRESET)
"""The errors of writing to a pipe, a terminal and a socket that has no reader."""


def _occupy_missing() -> None:
    """Open /dev/null in the place of each of the descriptors 0 to 2 that is missing.

    Otherwise the next file to be opened would get the number, and the output of C libraries.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # A new descriptor gets the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
