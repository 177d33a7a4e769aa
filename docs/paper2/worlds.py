"""Learners at work, with the exact games they play."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

from marlrun.exact import networked_mdp, public_goods
from marlrun.exact.average_reward import Game
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.loop import online
from marlrun.types import Step
from paper2.summaries import Node

CPU = torch.device("cpu")
PAPER = {
    "critic": "linear",
    "policy": "boltzmann",
    "critic_step": 1.0,
    "critic_power": 0.65,
    "actor_step": 1.0,
    "actor_power": 0.85,
}
TEAM = PAPER | {"features": "team", "policy": "tabular", "actor_step": 5.0}
FROZEN = TEAM | {"actor_step": 0.0, "critic_step": 10.0, "step_offset": 100}
"""The constructor takes an actor's step of 0; the command line refuses it.

With the paper's t^-.65 what critics began with fades as exp(-c t^.35): too slowly to look at
limits. These are 10 times as long, and begin at 1 / 2.
"""
ALGOS = ("networked_ac_q", "networked_ac_v")
REDRAWN = {"name": "erdos_renyi"}
GAMES = {"networked_mdp": networked_mdp, "public_goods": public_goods}


class Beside:
    """Games of one shape side by side: the first replicas play the first."""

    def __init__(self, envs: list[Any]):
        self._envs, self.spec = envs, envs[0].spec
        self.num_envs = 1

    def reset(self) -> Step:
        """Begin."""
        return _join([env.reset() for env in self._envs])

    def step(self, action: torch.Tensor) -> Step:
        """Play."""
        parts = action.chunk(len(self._envs))
        return _join([env.step(part) for env, part in zip(self._envs, parts, strict=True)])

    def restart(self, step: Step) -> Step:
        """Begin the next window."""
        parts = zip(*(x.chunk(len(self._envs)) for x in step if x is not None), strict=True)
        names = [name for name, x in zip(Step._fields, step, strict=True) if x is not None]
        steps = [Step(**dict(zip(names, part, strict=True))) for part in parts]
        return _join([env.restart(one) for env, one in zip(self._envs, steps, strict=True)])


def _join(steps: list[Step]) -> Step:
    return Step(*(None if x[0] is None else torch.cat(x) for x in zip(*steps, strict=True)))


class World(NamedTuple):
    """A learner at work: `loop` is its generator of ticks; a game for every replica."""

    learner: Any
    loop: Any
    games: list[Game]

    def run(self, num_ticks: int) -> None:
        """Train on."""
        for _ in range(num_ticks):
            next(self.loop)


def node(group: str, name: str, **changes: Any) -> Node:
    """Return a configuration as its YAML says, with changes."""
    loaded = yaml.safe_load((files("marlrun.conf") / group / f"{name}.yaml").read_text())
    below = [node(group, base) for base in loaded.pop("defaults", []) if base != "_self_"]
    return {**(below[0] if below else {}), **loaded, **changes}


def named(group: str, chosen: Node) -> Node:
    """Return the configuration of {"name": .., **changes}."""
    return node(group, **chosen)


def world(
    algo: str,
    game: Node,
    graph: Node,
    num_seeds: int,
    settings: Node,
    theta: int | None = None,
    mdps: Sequence[int] = (0,),
) -> World:
    """Build a learner and its games, one for each seed of `mdps`, each in `num_seeds` replicas.

    `theta` seeds policies' parameters, the same in every replica.
    """
    seeds = range(num_seeds * len(mdps))
    nodes = [named("env", game | {"mdp": mdp}) for mdp in mdps]
    parts = [seeds[i * num_seeds : (i + 1) * num_seeds] for i in range(len(mdps))]
    envs = [build_env(keys, part, CPU, []) for keys, part in zip(nodes, parts, strict=True)]
    env: Any = Beside(envs)
    made: Any = build_learner(
        node("algo", algo, **settings), env, seeds, CPU, [], 1, named("graph", graph)
    )
    if theta is not None:
        drawn = np.random.default_rng(theta).normal(size=made.actor.parameters.shape[1:])
        made.actor.parameters.copy_(torch.tensor(drawn))
    loop = online(made, env, made.policy(True, seeds), env.reset())
    if nodes[0]["num_agents"] > 10:
        return World(made, loop, [])
    solved = [GAMES[game["name"]].game(**keys) for keys in nodes]
    return World(made, loop, [one for one in solved for _ in range(num_seeds)])
