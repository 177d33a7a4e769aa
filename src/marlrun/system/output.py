"""What is said: results to stdout, progress and complaints to stderr.

Nothing that happens to the streams (a closed terminal, a pipe whose reader has gone, a full disk)
may decide how work ends, so everything that is said goes through here.
"""

import errno
import io
import os
import select
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def say(line: str) -> None:
    """Write one line of progress to stderr."""
    _put(sys.stderr, line)


def say_once(line: str) -> None:
    """Write a line to stderr unless this process has said it before."""
    if line not in _SAID:
        _SAID.add(line)
        say(line)


_SAID: set[str] = set()


def write(line: str) -> None:
    """Write one line of results to stdout."""
    _put(sys.stdout, line)


def _put(stream: TextIO | None, line: str) -> None:
    with suppress(OSError, ValueError):  # ValueError: it is closed
        if stream is not None:
            stream.write(line + "\n")
            stream.flush()


def protect() -> None:
    """Let writing to sys.stdout and sys.stderr never fail in this process, whoever writes.

    A stream that is missing or broken takes everything, as /dev/null does.
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
    """Raise the OSError by which stdout lost what it was given, if it did and somebody reads it.

    To be called where results stand nowhere else. A reader that has gone, or was never there, has
    seen enough.
    """
    descriptor = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(descriptor, _Descriptor) and descriptor.error is not None:
        raise descriptor.error


class _Descriptor(io.FileIO):
    """A descriptor that drops what cannot be written, and remembers the first error that counts."""

    def __init__(self, number: int):
        super().__init__(number, "wb", closefd=False)
        self.error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of `data`, or drop all; return how many bytes are done with."""
        try:
            written: int | None = super().write(data)
            if written is None:  # Full, and set not to block: its reader may only be slow.
                select.select([], [self.fileno()], [], _PATIENCE)
                written = super().write(data)
            return memoryview(data).nbytes if written is None else written
        except OSError as error:
            if self.error is None and not self._has_lost_its_reader(error):
                self.error = OSError(error.errno, error.strerror, "standard output")
            return memoryview(data).nbytes

    def _has_lost_its_reader(self, error: OSError) -> bool:
        is_file = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        return not is_file and error.errno in _READER_GONE


_PATIENCE = 5.0
"""Seconds for which a reader of a stream that does not block is waited for."""
_READER_GONE = (errno.EPIPE, errno.EIO, errno.ECONNRESET)
"""How writing to a pipe, a terminal and a socket fails when nobody is at the other end."""


def _occupy_missing() -> None:
    """Open /dev/null where one of the descriptors 0 to 2 is missing.

    The next file that is opened would get its number, and what C libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
