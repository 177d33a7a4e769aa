"""Errors as messages: in one line, with the type of the error, or with a way out of it."""

from collections.abc import Generator
from contextlib import contextmanager


class PlayError(RuntimeError):
    """A game fails while it is played. What was learned until then is good, and can be saved."""


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line, or the name of its type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def with_type(error: BaseException) -> str:
    """Return the type of an error and its text, if it has one, in one line."""
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"


@contextmanager
def advising(way_out: str) -> Generator[None]:
    """Add to a ValueError, which says what is damaged, what the user can do about it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}; {way_out}") from error
