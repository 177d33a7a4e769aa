"""A changed game: what evaluation changes of a run's environment and graph, checked and named.

Nothing heavy is imported here, so that a slip on the command line is answered at once.
"""

from collections.abc import Sequence
from typing import Any

from marlrun.config.nested import Config, leaves, merged
from marlrun.config.nodes import check_node, node_of
from marlrun.config.schema import show
from marlrun.config.tasks import TASKS, task_names

_REFUSED = {
    "env._target_": "the class of the run's game cannot be changed, only its keys",
    "env.num_envs": "it means nothing in evaluation; episodes=N says how many are played",
}
"""Keys of an environment that cannot be changed, and why."""


def changed(config: Config, changes: Config) -> dict[str, Any]:
    """Return a run's stored configuration with other values of its environment and its graph.

    `changes` holds `env`, keys of the run's environment, and `graph`: keys of the run's graph, or
    another graph, which has a `_target_`. ValueError, in one line, for a key that does not exist or
    does not take its value.
    """
    result = dict(config)
    if env := changes.get("env"):
        for key, _ in leaves(env, "env"):
            if key in _REFUSED:
                raise ValueError(f"{key}: {_REFUSED[key]}")
        result["env"] = merged(node_of(config, "env"), env)
        check_node(result["env"], "env")
    if graph := changes.get("graph"):
        if "_target_" not in graph:
            if config.get("graph") is None:
                keys = ", ".join(key for key, _ in leaves(graph, "graph"))
                raise ValueError(f"{keys}: this run has no graph whose keys could change")
            graph = merged(node_of(config, "graph"), graph)
        check_node(graph, "graph")
        result["graph"] = graph
    return result


def differences(trained: Config, played: Config, kind: str) -> dict[str, str]:
    """Return the keys of node `kind` that differ between two configurations.

    Each with what to say of it: `env.flicker` -> `env.flicker=0.5 (trained with 0.3)`.
    """
    before, after = _with_task_names(
        *(dict(leaves(config.get(kind) or {}, kind)) for config in (trained, played))
    )
    texts: dict[str, str] = {}
    for key, value in after.items():
        if key not in before:
            texts[key] = f"{key}={show(value)} (trained with its default)"
        elif before[key] != value and key.endswith("._target_"):
            names = [str(target).rpartition(".")[2] for target in (value, before[key])]
            texts[kind] = f"{kind}={names[0]} (trained with {names[1]})"
        elif before[key] != value:
            texts[key] = f"{key}={show(value)} (trained with {show(before[key])})"
    return texts


def _with_task_names(*configs: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return flat configurations with names in the place of `env.tasks`, by what differs in them all."""
    if any(env.get("env._target_") != TASKS for env in configs):
        return configs
    tasks: list[Config] = []
    for env in configs:
        tasks += [task for task in env["env.tasks"] if task not in tasks]
    names = task_names(tasks)
    texts = (", ".join(names[tasks.index(task)] for task in env["env.tasks"]) for env in configs)
    return [{**env, "env.tasks": f"[{text}]"} for env, text in zip(configs, texts, strict=True)]
