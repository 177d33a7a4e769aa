"""What older versions called the keys of a configuration, and what they stored as this one would.

Whoever reads a stored configuration passes it through `current`; nobody else knows older names.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from marlrun.config.nested import Config

_NETWORKED = (
    "marlrun.algos.networked_ac_q.NetworkedACQ",
    "marlrun.algos.networked_ac_v.NetworkedACV",
)
_ADDED: Mapping[str, Config] = {
    "marlrun.algos.ppo.PPO": {"reward": None},
    "marlrun.algos.dec_hdrqn.DecHDRQN": {
        "burn_in": 0,
        "leniency": None,
        "leniency_decay": 0.99,
        "leniency_bits": 10,
        "obs_scale": 1.0,
    },
}
"""An algorithm's keys that older versions did not have, and the values by which it is as it was."""
_GROUPS = {
    "critic": {
        "critic": "kind",
        "features": "features",
        "num_features": "num_features",
        "critic_hidden": "hidden",
    },
    "policy": {
        "policy": "kind",
        "policy_features": "num_features",
        "policy_hidden": "hidden",
        "radius": "radius",
    },
    "steps": {
        "critic_step": "critic",
        "critic_power": "critic_power",
        "actor_step": "actor",
        "actor_power": "actor_power",
        "step_offset": "offset",
    },
    "mixing": {
        "communication": "communication",
        "mixed": "message",
        "rounds": "rounds",
        "interval": "interval",
        "aggregate": "aggregate",
        "tolerate": "tolerate",
        "faulty_agents": "faulty_agents",
        "fault": "fault",
    },
}
"""Where the keys of the networked actor-critics went: group -> older name -> name in the group."""

RENAMED = {
    f"algo.{older}": f"algo.{group}.{name}"
    for group, names in _GROUPS.items()
    for older, name in names.items()
}
"""The older name of a key, dotted -> its name now."""

LATER: Config = {
    "choices": {},
    "objective": "eval/return_mean",
    "paper": [],
    "checkpoint.best": "eval/return_mean",
    "updates": None,
}
"""Keys that an older version did not store, dotted, and the value that it meant."""


def current(config: Config) -> dict[str, Any]:
    """Return a stored configuration as this version would have stored it.

    What this function does not know stays as it is, and a configuration of this version is
    returned unchanged.
    """
    algo = config.get("algo")
    if not isinstance(algo, Mapping):
        return dict(config)
    algo = cast(Config, algo)
    if added := _ADDED.get(str(algo.get("_target_"))):
        return {**config, "algo": {**added, **algo}}
    if algo.get("_target_") not in _NETWORKED:
        return dict(config)
    renamed = {"algo": _complete(_grouped(algo)), "paper": _rows(config.get("paper"))}
    return {key: renamed.get(key, value) for key, value in config.items()}


def _complete(algo: Config) -> Config:
    """Return the node with what older versions did not store: mu had the critic's step size."""
    steps = algo.get("steps")
    return {**algo, "steps": {"average": None, **steps}} if isinstance(steps, Mapping) else algo


def _grouped(algo: Config) -> Config:
    """Return the node of a networked actor-critic with its keys in groups."""
    if any(isinstance(algo.get(group), Mapping) for group in _GROUPS):
        return algo
    groups = {
        group: {name: algo[older] for older, name in names.items() if older in algo}
        for group, names in _GROUPS.items()
    }
    # The first versions had no other fault.
    groups["mixing"].setdefault("fault", "refuse")
    moved = {older for names in _GROUPS.values() for older in names}
    return {key: value for key, value in algo.items() if key not in moved} | groups


def _rows(paper: Any) -> Any:
    """Return published values, a list of mappings, with the names that their keys have now."""
    if not isinstance(paper, list):
        return paper
    return [
        {RENAMED.get(key, key): value for key, value in cast(Config, row).items()}
        if isinstance(row, Mapping)
        else row
        for row in cast("Sequence[Any]", paper)
    ]
