"""Building environments and learners from configuration, and nothing else.

A configuration may come from a stranger's run directory. So a `_target_` must name a class or
function that is defined in a module of marlrun's own, or of a package the command line vouches for.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import torch

from marlrun.config.nested import leaves
from marlrun.config.plugins import resolve
from marlrun.config.schema import did_you_mean
from marlrun.config.tasks import holds_target
from marlrun.graphs.network import Network
from marlrun.runner.frozen import frozen_reward
from marlrun.runner.teachers import open_teachers
from marlrun.streams import derive
from marlrun.system import capacity
from marlrun.system.errors import one_line
from marlrun.system.output import say
from marlrun.system.reading import InputFile
from marlrun.types import AnyLearner, Env, MakeEnv, Seeds

Kind = Literal["algo", "env", "graph"]
Node = Mapping[str, Any]
_NAMED = tuple(f"{kind}{mark}" for kind in get_args(Kind) for mark in ".=:")
"""How messages begin that name the key themselves."""


def build_env(
    node: Node,
    seeds: Seeds,
    device: torch.device,
    plugins: Sequence[str],
    *,
    num_envs: int | None = None,
) -> Env:
    """Build the environment of `node`, with `num_envs` copies a replica if given.

    If it takes `plugins`, because it builds a game of another package, it gets them.
    """
    extras: dict[str, Any] = {} if num_envs is None else {"num_envs": num_envs}
    if "plugins" in inspect.signature(resolve(node.get("_target_"), "env", plugins)).parameters:
        extras["plugins"] = tuple(plugins)
    return build(node, "env", plugins, seeds, device, **extras)


def settled(node: Node, plugins: Sequence[str]) -> dict[str, Any]:
    """Return the keys of an environment's node with what null stands for, where its class says so."""
    make = resolve(node.get("_target_"), "env", plugins)
    settle: Callable[[Node], dict[str, Any]] = getattr(make, "settled", dict)
    return settle(node)


def build_graph(
    node: Node, num_agents: int, seeds: Seeds, device: torch.device, plugins: Sequence[str]
) -> Network:
    """Build the communication graph of `node` for so many agents, one for each replica.

    If it bends what consensus assumes, that is said on stderr.
    """
    network: Network = build(node, "graph", plugins, num_agents, seeds, device)
    if network.warning:
        say(f"marlrun: {network.warning}")
    return network


def build_learner(
    node: Node,
    env: Env,
    seeds: Seeds,
    device: torch.device,
    plugins: Sequence[str],
    num_envs: int,
    graph: Node | None,
    env_node: Node | None = None,
) -> AnyLearner:
    """Build the learner of `node` for `num_envs` copies of `env` a replica.

    If it takes a graph, it gets one, and if its key `reward` holds a file, the reward in it. If it
    takes `make_env`, it plays by itself in the game of `env_node`; `teachers` are those that its
    files hold. ValueError if its agents communicate and could never agree, if the graph follows
    positions that the game does not tell, or if the reward or the teachers do not fit.
    """
    extras: dict[str, Any] = {"num_envs": num_envs}
    parameters = inspect.signature(resolve(node.get("_target_"), "algo", plugins)).parameters
    if graph is not None and "graph" in parameters:
        extras["graph"] = _network(graph, node, env, seeds, device, plugins)
    if isinstance(file := node.get("reward"), InputFile):
        extras["reward"] = frozen_reward(file, env.spec, seeds, device)
    if "teachers" in parameters:
        extras["teachers"] = open_teachers(node, env.spec, seeds, device)
    if "make_env" in parameters and env_node is not None:
        extras["make_env"] = _env_maker(env_node, seeds, device, plugins)
    return build(node, "algo", plugins, env.spec, seeds, device, **extras)


def _network(
    graph: Node, node: Node, env: Env, seeds: Seeds, device: torch.device, plugins: Sequence[str]
) -> Network:
    """Build the graph over which the agents of `node` communicate in `env`; ValueError if they can't."""
    network = build_graph(graph, env.spec.num_agents, seeds, device, plugins)
    if network.needs_adjacency and not env.spec.has_adjacency:
        raise ValueError(
            f"graph=positions: env {type(env).__name__} does not say who is near whom "
            "(Spec.has_adjacency), expected another graph, or a game that does: networked_spread"
        )
    if network.problem and _communicates(node):
        raise ValueError(network.problem)
    return network


def _env_maker(node: Node, seeds: Seeds, device: torch.device, plugins: Sequence[str]) -> MakeEnv:
    """Return what makes the game of `node` for a learner that plays by itself."""

    def make_env(copies: int, purpose: str) -> Env:
        fresh = [derive(seed, purpose) for seed in seeds]
        return build_env(node, fresh, device, plugins, num_envs=copies)

    return make_env


def _communicates(node: Node) -> bool:
    """Say whether the agents of an algorithm that takes a graph send anything over it."""
    mixing = node.get("mixing")
    if not isinstance(mixing, Mapping):
        return True
    return cast(Node, mixing).get("communication", "graph") == "graph"


def takes_graph(node: Node, plugins: Sequence[str]) -> bool:
    """Say whether the agents of an algorithm communicate."""
    return "graph" in inspect.signature(resolve(node.get("_target_"), "algo", plugins)).parameters


def is_offline(node: Node, plugins: Sequence[str]) -> bool:
    """Say whether an algorithm learns without acting: its class has no `observe`.

    A function that builds a learner builds one that acts.
    """
    make = resolve(node.get("_target_"), "algo", plugins)
    return inspect.isclass(make) and not hasattr(make, "observe")


def build(node: Node, kind: Kind, plugins: Sequence[str], /, *args: Any, **kwargs: Any) -> Any:
    """Call the `_target_` of `node` with `args` and the node's keys, updated by `kwargs`.

    A key that holds keys of its own becomes the dataclass which the constructor's annotation names.
    ValueError, in one line, if the target is none that `kind` may name or refuses its arguments.
    """
    target = node.get("_target_")
    make = resolve(target, kind, plugins)
    keys = {key: value for key, value in node.items() if key != "_target_"} | kwargs
    try:
        keys = _with_dataclasses(make, _with_settings(make, keys, kind), kind)
        inspect.signature(make).bind(*args, **keys)
        return make(*args, **keys)
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(_NAMED):
            raise
        reason = "out of memory" if capacity.is_short(error) else one_line(error)
        raise ValueError(f"{kind} {target} cannot be built: {reason}") from error


def _with_settings(make: Callable[..., Any], keys: Node, path: str) -> Node:
    """Return the keys as `make` takes them.

    A parameter `settings`, annotated by a dataclass, gets all keys that are no parameters themselves.
    """
    names = inspect.signature(make).parameters
    if "settings" not in names or "settings" in keys:
        return keys
    group = get_type_hints(make.__init__ if inspect.isclass(make) else make)["settings"]
    rest = {key: value for key, value in keys.items() if key not in names}
    named = {key: value for key, value in keys.items() if key in names}
    return named | {"settings": _dataclass_of(group, rest, path)}


def _with_dataclasses(make: Callable[..., Any], keys: Node, path: str) -> dict[str, Any]:
    """Return the keys of the node at `path` as `make` takes them: some are dataclasses."""
    groups = {key: cast(Node, value) for key, value in keys.items() if isinstance(value, Mapping)}
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make) if groups else {}
    arguments = dict(keys)
    for key, values in groups.items():
        hint = hints.get(key)
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        for option in filter(inspect.isclass, options):
            if is_dataclass(option):
                arguments[key] = _dataclass_of(option, values, f"{path}.{key}")
    return arguments


def _dataclass_of(group: type, values: Node, path: str) -> Any:
    """Return the dataclass of these values; ValueError, in one line, that names the key at fault."""
    names = {field.name: field for field in fields(group) if field.init}
    takes = f"{path} takes {', '.join(names)}"
    for key in values:
        if key not in names:
            guess = did_you_mean(str(key), names) or f"; {takes}"
            raise ValueError(f"{path}.{key}: no such key{guess}")
    for name, field in names.items():
        if name not in values and field.default is field.default_factory is MISSING:
            raise ValueError(f"{path}.{name}: missing, {takes}")
    try:
        return group(**_with_dataclasses(group, values, path))
    except ValueError as error:
        if str(error).startswith(_NAMED):
            raise
        raise ValueError(f"{path}: {error}") from error


def refuse_hidden_targets(config: Node) -> None:
    """Raise ValueError if `_target_` stands anywhere but directly under one of our groups, or in a task."""
    places = [f"{kind}._target_" for kind in get_args(Kind)]
    node = config.get("env")
    env: Node = cast(Node, node) if isinstance(node, Mapping) else {}
    for path, value in leaves(config, into_lists=True):
        if "_target_" in path and path not in places and not holds_target(path, env):
            raise ValueError(f"{path}={value}: only algo, env and graph may have a _target_")
