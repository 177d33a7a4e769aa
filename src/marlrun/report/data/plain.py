"""A stranger's names and values, made such that they can be shown, sorted and written anywhere."""

from typing import Any, cast

MOST_BITS = 10_000
"""Bits of an integer that is still written in decimal; Python refuses those above about 14,000."""


def printable(text: str) -> str:
    """Return the text with an escape such as \\n in place of every character that cannot be shown.

    These are control characters, those that turn the direction of writing, and lone surrogates,
    which no file in UTF-8 can hold.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def plain(value: Any) -> Any:
    """Return a document as JSON could hold it: keys and all that is no number are printable text."""
    if isinstance(value, dict):
        mapping = cast("dict[Any, Any]", value)
        return {printable(str(plain(key))): plain(inner) for key, inner in mapping.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in cast("list[Any]", value)]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= MOST_BITS else hex(value)
    return printable(str(value))
