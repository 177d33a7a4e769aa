"""Makes names and values from the files of strangers safe to show, to sort and to write."""

from typing import Any, cast

MOST_BITS = 10_000
"""Longer integers are written in hexadecimal; Python refuses to write 14,000 bits in decimal."""


def printable(text: str) -> str:
    """Return the text with an escape such as \\n in place of every character that cannot be shown.

    Such characters are the control characters, those that turn the direction of writing, and lone
    surrogates, which no file in UTF-8 can hold.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def plain(value: Any) -> Any:
    """Return a document as JSON could hold it, in which keys and all texts are printable."""
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
