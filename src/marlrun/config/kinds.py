"""The kinds of values that a key of a configuration takes, as the comments in YAML files name them.

A kind, in those comments TYPE, is one alternative, or several joined by " or ":

    null    bool    str    list    dict      a value of that kind; a dict takes any keys
    text    path                             a str that is not empty; a path names a file or a
                                             directory, and may begin with `~`
    plain                                    a bool, a number, a str, or a list of such values
    int     int [1, inf)    float (0, 1]     a number, perhaps of a range; an int is a float too
    list of TYPE    list of 4 TYPE           any number of elements, or so many
    [TYPE, TYPE]                             exactly these elements, none of a range
    dict of TYPE                             any keys, each with a value of that kind
    a | b | c                                one of these words

Whatever its range, a whole number has at most 64 bits, and any other is one that single precision
holds: of a size from 1.2e-38 to 3.4e38.
"""

import re
from typing import Any, cast

_PLAIN: dict[str, type] = {"null": type(None), "bool": bool, "str": str, "list": list, "dict": dict}
_TEXTS = ("text", "path")
_NUMBER = re.compile(r"(int|float)(?: ([\[(])(\S+), (\S+)([\])]))?")
_LIST = re.compile(r"list of (?:(\d+) )?(.+)")
_DICT = re.compile(r"dict of (.+)")
_WORDS = re.compile(r"[\w-]+( \| [\w-]+)*")
_MAX_INT = 2**63 - 1
_MIN_FLOAT, _MAX_FLOAT = 1.2e-38, 3.4e38


def fits(kind: str, value: Any) -> bool:
    """Say whether a kind takes `value`."""
    return any(_fits(alternative, value) for alternative in kind.split(" or "))


def _fits(kind: str, value: Any) -> bool:
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind])
    if kind in _TEXTS:
        return isinstance(value, str) and value != ""
    if kind == "plain":
        return _is_plain(value)
    if number := _NUMBER.fullmatch(kind):
        return _in_range(number, value)
    if dict_of := _DICT.fullmatch(kind):
        inner = dict_of[1]
        return isinstance(value, dict) and all(
            _fits(inner, element) for element in cast(dict[Any, Any], value).values()
        )
    if kind.startswith("[") or _LIST.fullmatch(kind):
        return isinstance(value, list) and _fit_all(kind, cast(list[Any], value))
    return not isinstance(value, bool) and str(value) in kind.split(" | ")


def inner_kind(kind: str) -> str | None:
    """Return what the keys of a dict take: `TYPE` of a `dict of TYPE`; None for any other kind."""
    dicts = filter(None, map(_DICT.fullmatch, kind.split(" or ")))
    return next((dict_of[1] for dict_of in dicts), None)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, cast(list[Any], value)))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _is_held(value) if is_number else isinstance(value, bool | str)


def _fit_all(kind: str, elements: list[Any]) -> bool:
    if list_of := _LIST.fullmatch(kind):
        kinds = [list_of[2]] * int(list_of[1] or len(elements))
    else:
        kinds = kind[1:-1].split(", ")
    return len(elements) == len(kinds) and all(map(_fits, kinds, elements))


def _in_range(number: re.Match[str], value: Any) -> bool:
    kind, left, low, high, right = number.groups()
    if isinstance(value, bool) or not isinstance(value, int if kind == "int" else int | float):
        return False
    if not _is_held(value):
        return False
    if left is None:
        return True
    above = float(low) <= value if left == "[" else float(low) < value
    below = value <= float(high) if right == "]" else value < float(high)
    return above and below


def _is_held(value: float) -> bool:
    """Say whether 64 bits hold an int, or single precision a float; neither holds inf or NaN."""
    if isinstance(value, int):
        return abs(value) <= _MAX_INT
    return value == 0.0 or _MIN_FLOAT <= abs(value) <= _MAX_FLOAT


def limit(kind: str, value: Any) -> str:
    """Name the limit of numbers that `value`, or one of its elements, is beyond; "" if none is."""
    numbers = cast(list[Any], value) if isinstance(value, list) else [value]
    beyond = [x for x in numbers if isinstance(x, int | float) and not _is_held(x)]
    if any(isinstance(x, int) for x in beyond):
        return f", whole numbers of at most {_MAX_INT}"
    if "float" in kind and any(abs(x) < float("inf") for x in beyond):
        return f", 0 or of a size from {_MIN_FLOAT} to {_MAX_FLOAT}"
    return ""


def words_of(kind: str) -> list[str]:
    """Return the words among which a kind lets choose, such as `a` and `b` of `a | b or null`."""
    choices = [part.split(" | ") for part in kind.split(" or ") if " | " in part]
    return [word for choice in choices for word in choice]


def kind_of(value: Any) -> str:
    """Return the kind of a default that has no comment; what is null may become anything."""
    if value is None:
        return " or ".join([*_PLAIN, "float"])
    names = [name for name, python_type in _PLAIN.items() if type(value) is python_type]
    return names[0] if names else type(value).__name__


def is_kind(text: str) -> bool:
    """Say whether a text names a kind."""
    return all(map(_is_kind, text.split(" or ")))


def _is_kind(text: str) -> bool:
    if list_of := _LIST.fullmatch(text):
        return _is_kind(list_of[2])
    if dict_of := _DICT.fullmatch(text):
        return _is_kind(dict_of[1])
    if text.startswith("[") and text.endswith("]"):
        return all(map(_is_kind, text[1:-1].split(", ")))
    return any(form.fullmatch(text) for form in (_NUMBER, _WORDS))
