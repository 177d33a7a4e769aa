"""The nodes of a configuration: what it says of its algorithm, its environment or its graph."""

from collections.abc import Mapping
from typing import Any, cast

from marlrun.config.nested import Config
from marlrun.config.schema import Rule, Schema, declared, options
from marlrun.config.tasks import TASKS, check_tasks

_OUTSIDE = Schema()
"""What every environment takes."""
_OUTSIDE.rules["env.num_envs"] = Rule("int [1, inf)", "copies of the game per replica", 1)


def node_of(config: Config, kind: str) -> Config:
    """Return the node `kind` of a configuration; ValueError if there is none."""
    node: Any = config.get(kind)
    if not isinstance(node, Mapping):
        raise ValueError(f"{kind}={node!r}: expected a configuration with a _target_")
    return cast(Config, node)


def check_node(node: Config, kind: str) -> None:
    """Raise ValueError unless a node is what our files for its class take, and each of its tasks too.

    The files of classes from outside are not at hand: of these only `env.num_envs` is checked.
    """
    _check(node, kind, kind)
    if node.get("_target_") == TASKS:
        check_tasks(node, lambda game, key: _check(game, "env", key))


def _check(node: Config, kind: str, path: str) -> None:
    """Check the node at `path` by the files of `kind`."""
    target = str(node.get("_target_"))
    if not target.startswith("marlrun."):
        if kind == "env":
            _OUTSIDE.check("env.num_envs", node.get("num_envs"), is_final=True)
        return
    schemas = [declared(f"{kind}/{name}", path) for name in options(kind)]
    targets = [schema.rules[f"{path}._target_"].default for schema in schemas]
    if target not in targets:
        known = ", ".join(sorted(set(targets)))
        raise ValueError(f"{path}._target_={target}: expected one of {known}")
    refusals: list[ValueError] = []
    for schema in (schemas[i] for i in range(len(schemas)) if targets[i] == target):
        try:
            schema.check_all(node, path)
            return
        except ValueError as refusal:
            refusals.append(refusal)
    raise refusals[0]
