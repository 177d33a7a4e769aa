"""What a YAML file writes beside its values: the comments, and whether a text has quotes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import yaml

from marlrun.config.kinds import is_kind


@dataclass(frozen=True)
class Entry:
    """A key with its value, as a YAML file writes them."""

    note: tuple[str, str] | None
    """The kind of value and its meaning, from the comment `# TYPE: meaning`; None without one."""
    unquoted: str | None
    """The value as it is written, if it is a scalar without quotes."""


def entries(text: str) -> dict[str, Entry]:
    """Return what a YAML text writes at every key, dotted, whose value is no mapping of keys."""
    root = cast(yaml.Node | None, yaml.compose(text, Loader=yaml.CSafeLoader))  # pyright: ignore[reportUnknownMemberType]
    if not isinstance(root, yaml.MappingNode):
        return {}
    lines = text.splitlines()
    return {
        name: Entry(_note(lines, key, value), _unquoted(value))
        for name, key, value in _leaf_nodes(root, "")
    }


def title(text: str) -> str:
    """Return the comment at the top of a YAML text, or ""; `# @package` does not count."""
    comments = re.findall(r"^#\s*([^@\s].*)$", text, flags=re.MULTILINE)
    return comments[0].strip() if text.lstrip().startswith("#") and comments else ""


def _leaf_nodes(
    mapping: yaml.MappingNode, prefix: str
) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield the dotted name, the node of the key and the node of the value, at every leaf."""
    for key, value in mapping.value:
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaf_nodes(value, f"{name}.")
        else:
            yield name, key, value


def _note(lines: list[str], key: yaml.Node, value: yaml.Node) -> tuple[str, str] | None:
    """Return the kind and the meaning behind a key, None if no comment there names a kind.

    The comment stands behind the value if that is on the key's line, and else behind the key.
    """
    is_inline = value.start_mark.line == key.end_mark.line == value.end_mark.line
    mark = value.end_mark if is_inline else key.end_mark
    comment = lines[mark.line][mark.column :].partition(" #")[2]
    kind, colon, meaning = comment.strip().partition(": ")
    return (kind, meaning) if colon and is_kind(kind) else None


def _unquoted(value: yaml.Node) -> str | None:
    return value.value if isinstance(value, yaml.ScalarNode) and not value.style else None
