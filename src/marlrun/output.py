"""What is said: results to stdout, progress and complaints to stderr.

Nothing that happens to the streams (a closed terminal, a pipe whose reader has gone, a full disk)
may decide how work ends, so everything that is said goes through here.
"""

import sys
from contextlib import suppress
from typing import TextIO


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
