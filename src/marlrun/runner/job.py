"""A job: what a run's configuration says, checked and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from marlrun.runner.build import Node, refuse_hidden_targets


@dataclass(frozen=True)
class Job:
    """One training job; times are in environment steps per replica."""

    algo: Node
    env: Node
    name: str | None
    seeds: tuple[int, ...]
    env_steps: int
    device: str
    threads: int
    num_envs: int
    eval_every: int
    eval_episodes: int
    final_episodes: int
    checkpoint_every: int
    checkpoint_keep: int
    log_every: int

    @property
    def hyperparameters(self) -> Node:
        """What distinguishes this job from others, but for its seeds."""
        nodes = {"algo": self.algo, "env": self.env}
        values = {
            kind: {key: value for key, value in node.items() if key != "_target_"}
            for kind, node in nodes.items()
        }
        return values | {"env_steps": self.env_steps}


def read_job(config: Mapping[str, Any]) -> Job:
    """Check a resolved configuration; ValueError names the first key that is missing or wrong."""
    refuse_hidden_targets(config)
    seed = _integer(config, "seed", 0)
    return Job(
        algo=_node(config, "algo"),
        env=_node(config, "env"),
        name=_name(config),
        seeds=tuple(range(seed, seed + _integer(config, "replicas", 1))),
        env_steps=_integer(config, "env_steps", 0),
        device=_device(config),
        threads=_integer(config, "threads", 1),
        num_envs=_integer(config, "env.num_envs", 1),
        eval_every=_integer(config, "eval.every", 1),
        eval_episodes=_integer(config, "eval.episodes", 1),
        final_episodes=_integer(config, "eval.final_episodes", 1),
        checkpoint_every=_integer(config, "checkpoint.every", 1),
        checkpoint_keep=_integer(config, "checkpoint.keep", 0),
        log_every=_integer(config, "log.every", 1),
    )


def _value(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ValueError(f"{key}: missing in the configuration")
        value = cast(Node, value)[part]
    return value


def _integer(config: Mapping[str, Any], key: str, least: int) -> int:
    value = _value(config, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key}={value!r}: expected an integer, at least {least}")
    return value


def _node(config: Mapping[str, Any], kind: str) -> Node:
    value = _value(config, kind)
    if not isinstance(value, Mapping):
        raise ValueError(f"{kind}={value!r}: expected a configuration with a _target_")
    return cast(Node, value)


def _device(config: Mapping[str, Any]) -> str:
    value = _value(config, "device")
    if value not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device={value!r}: expected auto, cpu or cuda")
    return value


def _name(config: Mapping[str, Any]) -> str | None:
    value = config.get("name")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"name={value!r}: expected a string or null")
    return value
