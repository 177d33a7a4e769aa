"""Nested mappings and lists: what a configuration is, and a walk through it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

Config = Mapping[str, Any]
"""A resolved configuration, without Hydra's own node."""


def nested(flat: Config) -> dict[str, Any]:
    """Return a mapping by dotted key as the nested mapping that it stands for."""
    root: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return root


def leaves(value: Any, path: str = "", *, into_lists: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield ("a.b", leaf) for every leaf of nested mappings, and ("a.b[0]", leaf) if `into_lists`.

    A mapping or list that is empty is a leaf too, unless it is `value` itself.
    """
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key), into_lists=into_lists)
    elif into_lists and isinstance(value, list | tuple) and value:
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from leaves(inner, f"{path}[{index}]", into_lists=True)
    else:
        yield path, value


def merged(values: Config, changes: Config) -> dict[str, Any]:
    """Return nested values with `changes` of some of their leaves."""
    result = dict(values)
    for key, change in changes.items():
        before = result.get(key)
        is_inner = isinstance(before, Mapping) and isinstance(change, Mapping)
        result[key] = merged(cast(Config, before), cast(Config, change)) if is_inner else change
    return result
