"""Checks `paper`, the key of an experiment that holds the values a publication gives."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from marlrun.config.schema import Schema, did_you_mean, show


def check_published(
    schema: Schema, choices: Mapping[str, str | None], options: Callable[[str], list[str]]
) -> None:
    """Raise ValueError, in one line, unless a report can draw all rows of `paper`.

    A row is {KEY: VALUE, .., TAG: NUMBER}: the keys say which runs it is about, and a tag, which
    has a / in its name, is one of their results. `choices` are the options, by group, for which
    `schema` holds; of a row about other options only the groups are checked. `options` returns
    the options of a group, and none for what is no group.
    """
    rows: Any = schema.rules["paper"].default if "paper" in schema.rules else []
    for number, row in enumerate(cast(list[Any], rows) if isinstance(rows, list) else []):
        try:
            _check_row({str(key): row[key] for key in row}, schema, choices, options)
        except ValueError as error:
            raise ValueError(f"paper[{number}]: {error}") from error


def _check_row(
    row: Mapping[str, Any],
    schema: Schema,
    choices: Mapping[str, str | None],
    options: Callable[[str], list[str]],
) -> None:
    tags = [key for key in row if "/" in key]
    groups = {key: names for key in row if (names := options(key))}
    for tag in tags:
        _check_number(tag, row[tag])
    if not tags:
        raise ValueError("expected a result, such as eval/return_mean: 0.5")
    for group, names in groups.items():
        if row[group] not in names:
            guess = did_you_mean(str(row[group]), names)
            raise ValueError(f"{group}={show(row[group])}: expected {' | '.join(names)}{guess}")
    if all(row[group] == choices.get(group) for group in groups):
        for key in (key for key in row if key not in tags and key not in groups):
            root = key.partition(".")[0]
            # A key of a group that was not chosen is no typo.
            if not options(root) or choices.get(root) is not None:
                schema.check(key, row[key])


def _check_number(tag: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"{tag}={show(value)}: expected a number")
