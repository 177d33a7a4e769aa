"""Walking through nested mappings and lists."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ("a.b[0]", leaf) for everything in mappings, lists and tuples."""
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value
