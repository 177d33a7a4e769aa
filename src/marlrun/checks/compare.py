"""Whether two things are the same, and where they first differ."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

Tree = Any
"""A tensor, a number, a text or None, or a Step, mapping, list or tuple of trees."""


class Broken(Exception):  # noqa: N818
    """A promise is not kept; the message says what was expected and what was seen."""


class Skipped(Exception):  # noqa: N818
    """A promise cannot be tried here; the message says why."""


def require_same(expected: Tree, seen: Tree, where: str, tolerance: float = 0.0) -> None:
    """Raise Broken unless two trees are the same: bit for bit, unless there is a `tolerance`."""
    if text := difference(expected, seen, where, tolerance):
        raise Broken(text)


def difference(expected: Tree, seen: Tree, where: str, tolerance: float = 0.0) -> str:
    """Return where two trees first differ, with both values, or "" if they are the same.

    `where` begins the text. `tolerance` is absolute and relative. Two NaN are the same.
    """
    leaves, seen_leaves = flat(expected), flat(seen)
    if leaves.keys() != seen_leaves.keys():
        missing = [path for path in leaves if path not in seen_leaves]
        unexpected = [path for path in seen_leaves if path not in leaves]
        return where + "; ".join(_named("missing", missing) + _named("unexpected", unexpected))
    pairs = ((path, leaf, seen_leaves[path]) for path, leaf in leaves.items())
    texts = (_difference_of_leaves(*pair, tolerance) for pair in pairs)
    return next((f"{where}{text}" for text in texts if text), "")


def _named(what: str, paths: list[str]) -> list[str]:
    """Return one text that names the first of these keys, or none if there are no keys."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return [f"{what}: {', '.join(paths[:3])}{more}"] if paths else []


def _difference_of_leaves(path: str, expected: Any, seen: Any, tolerance: float) -> str:
    if not isinstance(expected, Tensor) or not isinstance(seen, Tensor):
        is_same = type(expected) is type(seen) and expected == seen
        return "" if is_same else f"{path}: expected {expected}, got {seen}"
    if expected.shape != seen.shape or expected.dtype != seen.dtype:
        kinds = [f"{tensor.dtype} {list(tensor.shape)}" for tensor in (expected, seen)]
        return f"{path}: expected {kinds[0]}, got {kinds[1]}"
    is_same = torch.isclose(expected, seen, rtol=tolerance, atol=tolerance, equal_nan=True)
    if is_same.all():
        return ""
    index = cast("list[int]", (~is_same).nonzero()[0].tolist())
    values = [tensor[tuple(index)].item() for tensor in (expected, seen)]
    return f"{path}{index or ''}: expected {values[0]}, got {values[1]}"


def flat(tree: Tree, path: str = "") -> dict[str, Any]:
    """Return the leaves of a tree by their dotted paths; "" is the path of a tree that is a leaf."""
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(cast("list[Tree]", tree)))
    if not isinstance(tree, Mapping):
        return {path: tree}
    parts = cast("Mapping[Any, Tree]", tree).items()
    inner = [flat(part, f"{path}.{key}" if path else str(key)) for key, part in parts]
    return {name: leaf for leaves in inner for name, leaf in leaves.items()}


def copied(tree: Tree) -> Tree:
    """Return a tree whose tensors have memory of their own."""
    if isinstance(tree, Tensor):
        return tree.clone()
    if hasattr(tree, "_asdict"):
        return type(tree)(*map(copied, tree))
    if isinstance(tree, Mapping):
        return {key: copied(part) for key, part in cast("Mapping[Any, Tree]", tree).items()}
    if isinstance(tree, list | tuple):
        return [copied(part) for part in cast("list[Tree]", tree)]
    return tree


def part_of(company: Tree, alone: Tree, replica: int, num_replicas: int) -> dict[str, Any]:
    """Return the leaves of `company` that belong to `replica`, in the shapes that they have alone.

    The axis of replicas is the one that is `num_replicas` times as long in company. What has no such
    axis cannot be compared and is left as it is alone.
    """
    leaves = flat(company)
    return {
        path: _part(leaves[path], leaf, replica, num_replicas) if path in leaves else leaf
        for path, leaf in flat(alone).items()
    }


def _part(company: Any, alone: Any, replica: int, num_replicas: int) -> Any:
    if not isinstance(company, Tensor) or not isinstance(alone, Tensor):
        return company
    axes = [
        axis
        for axis in range(alone.ndim)
        if company.shape[axis : axis + 1] != alone.shape[axis : axis + 1]
    ]
    if company.ndim == alone.ndim and not axes:
        return company
    size = alone.shape[axes[0]] if len(axes) == 1 else 0
    if company.ndim != alone.ndim or company.shape[axes[0]] != num_replicas * size:
        return alone
    return company.narrow(axes[0], replica * size, size)
