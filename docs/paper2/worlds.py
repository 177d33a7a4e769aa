"""Learners at work, with the exact games they play."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

from marlrun.config.nested import leaves, nested
from marlrun.config.schema import declared
from marlrun.exact import networked_mdp, public_goods
from marlrun.exact.average_reward import Game
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.loop import online
from marlrun.types import Step
from paper2.summaries import Node

CPU = torch.device("cpu")
ALGOS = ("networked_ac_q", "networked_ac_v")
REDRAWN = {"name": "erdos_renyi"}
GAMES = {"networked_mdp": networked_mdp, "public_goods": public_goods}


def settings_of(path: str) -> Node:
    """Return what conf/PATH.yaml changes of an algorithm, by dotted key."""
    text = (files("marlrun.conf") / f"{path}.yaml").read_text()
    return dict(leaves(yaml.safe_load(text)["algo"]))


PAPER = settings_of("tuned/networked_ac_q_networked_mdp")
TEAM = PAPER | {"critic.features": "team", "policy.kind": "tabular", "steps.actor": 5.0}
FROZEN = settings_of("experiment/paper2_fixed_point_1")


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
    """Return a configuration as its YAML says, with changes by dotted key."""
    rules = declared(f"{group}/{name}", group).rules.items()
    defaults = {key.removeprefix(f"{group}."): rule.default for key, rule in rules}
    return nested(defaults | changes)


def world(
    algo: str,
    game: Node,
    graph: Node,
    num_seeds: int,
    settings: Node,
    theta: int | None = None,
    wrap: Callable[[Any], Any] | None = None,
) -> World:
    """Build a learner and its game; see `at_work`."""
    job = {"algo": node("algo", algo, **settings), "graph": node("graph", **graph)}
    return at_work([job | {"env": node("env", **game), "replicas": num_seeds}], theta, wrap)


def at_work(
    jobs: Sequence[Node], theta: int | None = None, wrap: Callable[[Any], Any] | None = None
) -> World:
    """Build a learner and the games of jobs that differ in their game's seed only, side by side.

    Each has its number of replicas, on seeds 0, 1, .. one job after the other. `theta` seeds
    policies' parameters, the same in every replica; `wrap` changes the game.
    """
    first, size = jobs[0], jobs[0]["replicas"]
    seeds = range(size * len(jobs))
    parts = [seeds[i * size : (i + 1) * size] for i in range(len(jobs))]
    envs = [build_env(job["env"], part, CPU, []) for job, part in zip(jobs, parts, strict=True)]
    env: Any = wrap(Beside(envs)) if wrap else Beside(envs)
    made: Any = build_learner(first["algo"], env, seeds, CPU, [], 1, first["graph"])
    if theta is not None:
        drawn = np.random.default_rng(theta).normal(size=made.actor.parameters.shape[1:])
        made.actor.parameters.copy_(torch.tensor(drawn))
    loop = online(made, env, made.policy(True, seeds), env.reset())
    if first["env"]["num_agents"] > 10:
        return World(made, loop, [])
    solved = [GAMES[game_name(job)].game(**job["env"]) for job in jobs]
    return World(made, loop, [one for one in solved for _ in range(size)])


def game_name(job: Node) -> str:
    """Return the name of the game that a job plays."""
    return job["env"]["_target_"].split(".")[-2]
