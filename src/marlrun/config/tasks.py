"""Many tasks as one environment: the game of each task, and the task's name.

The node of env=tasks holds a list of tasks. A task is typed as `{name: GAME, KEY: VALUE, ..}`, where
GAME is a file of conf/env; what is stored has all keys of that file, its `_target_` too.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from marlrun.config.nested import Config, leaves, merged, nested
from marlrun.config.schema import Schema, declared, options, show

TASKS = "marlrun.envs.tasks.Tasks"
SIZES = "marlrun.envs.tasks.TargetCaptureTasks"
_TARGET_CAPTURE = "marlrun.envs.target_capture.TargetCapture"
_REFUSED_GAMES = (TASKS, SIZES, "marlrun.envs.pettingzoo.game.PettingZooGame")
_REFUSED_KEYS = {
    "_target_": "its name says which game it is",
    "num_envs": "env.num_envs counts the copies, in which all tasks are played",
}
"""Keys that no task may be typed with, and why."""
_EXPECTED = "expected {name: GAME, KEY: VALUE, ..}, where GAME is a file of conf/env"
_STORED_TARGET = re.compile(r"env\.tasks\[\d+\]\._target_")


def tasks_of(env: Config) -> dict[str, Config]:
    """Return the game of each task by the task's name, as a node of one copy.

    The result is empty where the node `env` is a single game. ValueError, in one line, if there is no
    task, or if two tasks are the same.
    """
    if env.get("_target_") == TASKS:
        tasks = cast("Sequence[Config]", env["tasks"])
        games = [{key: value for key, value in task.items() if key != "name"} for task in tasks]
        names = task_names(tasks)
    elif env.get("_target_") == SIZES:
        keys = {key: value for key, value in env.items() if key != "sizes"}
        sizes = cast("Sequence[int]", env["sizes"])
        games = [{**keys, "_target_": _TARGET_CAPTURE, "size": size} for size in sizes]
        names = [f"size={size}" for size in sizes]
        if len(set(sizes)) < max(1, len(sizes)):
            raise ValueError(f"env.sizes={list(sizes)}: expected one size or more, each another")
    else:
        return {}
    return {name: {**game, "num_envs": 1} for name, game in zip(names, games, strict=True)}


def task_names(tasks: Sequence[Config]) -> list[str]:
    """Return a name for each of the complete `tasks`, made of what differs between them.

    It is the game's name, `target_capture`, where games differ, and the keys in which tasks of one
    game differ, `size=3`. ValueError, in one line, if there is no task, or if two tasks are the same.
    """
    if not tasks:
        raise ValueError("env.tasks=[]: expected one task or more")
    flat = [dict(leaves(task)) for task in tasks]
    games = {task["name"] for task in flat}
    names = [_name(task, flat, with_game=len(games) > 1) for task in flat]
    for index, name in enumerate(names):
        if name in names[:index]:
            expected = f"is named {name} as env.tasks[{names.index(name)}], expected another task"
            raise ValueError(f"env.tasks[{index}]: {expected}")
    return names


def _name(task: Config, tasks: Iterable[Config], *, with_game: bool) -> str:
    same_game = [other for other in tasks if other["name"] == task["name"]]
    differing = [key for key in task if any(other.get(key) != task[key] for other in same_game)]
    words = [f"{key}={_text(task[key])}" for key in differing]
    text = "_".join([task["name"], *words] if with_game or not words else words)
    return re.sub(r"[^A-Za-z0-9._=+-]+", "-", text)


def _text(value: Any) -> str:
    return ",".join(map(show, cast("list[Any]", value))) if isinstance(value, list) else show(value)


def in_short(value: object) -> str | None:
    """Return complete tasks as they may be typed: without keys that are as in their games' files.

    None for any other value, and where a task is of no game of marlrun's own.
    """
    games = options("env")
    tasks = cast("list[Any]", value) if isinstance(value, list) else []
    if not tasks or not all(isinstance(task, Mapping) for task in tasks):
        return None
    if any(task.get("name") not in games for task in tasks):
        return None
    return f"[{', '.join(map(_in_short, tasks))}]"


def _in_short(task: Config) -> str:
    rules = declared(f"env/{task['name']}").rules
    words = [
        f"{key}: {show(value)}"
        for key, value in task.items()
        if key not in rules or rules[key].default != value
    ]
    return f"{{{', '.join(words)}}}"


def completed(tasks: object, declared_by: Callable[[str, str], Schema]) -> list[dict[str, Any]]:
    """Return tasks as typed with all keys of their games' files.

    `declared_by(name, key)` returns what a file of conf/env takes, as keys that begin with `key`.
    ValueError, in one line that names the key, such as `env.tasks[1].size`, for whatever is wrong.
    """
    if not isinstance(tasks, list):
        raise ValueError(f"env.tasks={show(tasks)}: expected a list of tasks, each {_EXPECTED[9:]}")
    return [
        _completed(task, f"env.tasks[{index}]", declared_by)
        for index, task in enumerate(cast("list[Any]", tasks))
    ]


def _completed(task: object, key: str, declared_by: Callable[[str, str], Schema]) -> dict[str, Any]:
    name, typed = _parts(task, key)
    for refused, reason in _REFUSED_KEYS.items():
        if refused in typed:
            raise ValueError(f"{key}.{refused}: {reason}, expected that you leave it out")
    schema = declared_by(name, key)
    del schema.rules[f"{key}.num_envs"]
    defaults = nested({word.removeprefix(f"{key}."): r.default for word, r in schema.rules.items()})
    node = merged(defaults, typed)
    _refuse_game(node["_target_"], f"{key}.name={name}")
    schema.check_all(node, key)
    return {"name": name, **node}


def check_tasks(env: Config, check_game: Callable[[Config, str], object]) -> None:
    """Raise ValueError unless the tasks of a complete node are games that may be tasks.

    `check_game(node, key)` raises it unless a game's file takes the node.
    """
    for index, task in enumerate(cast("Sequence[object]", env["tasks"])):
        key = f"env.tasks[{index}]"
        name, game = _parts(task, key)
        _refuse_game(game.get("_target_"), f"{key}.name={name}")
        check_game({**game, "num_envs": 1}, key)


def _parts(task: object, key: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a task's game, and its other keys; ValueError if it is no task."""
    keys = dict(cast(Config, task)) if isinstance(task, Mapping) else {}
    name = keys.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(f"{key}={show(task)}: {_EXPECTED}")
    return name, keys


def _refuse_game(target: object, what: str) -> None:
    if target in _REFUSED_GAMES:
        raise ValueError(f"{what}: expected one game, neither many tasks itself nor of PettingZoo")


def holds_target(path: str, env: Config) -> bool:
    """Say whether a dotted key is that of a stored task's `_target_`."""
    return env.get("_target_") == TASKS and bool(_STORED_TARGET.fullmatch(path))
