"""What is timed: marlrun and the reference in the paper's configuration, ready to learn."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks import reference, reference_games
from marlrun.algos.dec_hdrqn import DecHDRQN
from marlrun.algos.ppo import PPO
from marlrun.config.nested import leaves, nested
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.loop import online
from marlrun.types import Env, Tick

CONF = Path(__file__).parents[1] / "conf"
CPU = torch.device("cpu")
Call = Callable[[], object]


def node(kind: str, name: str, **changes: Any) -> dict[str, Any]:
    """Return conf/KIND/NAME.yaml with changes by dotted key."""
    values = yaml.safe_load((CONF / kind / f"{name}.yaml").read_text())
    return nested(dict(leaves(values)) | changes)


GAME = node("env", "target_capture", size=6)
# Learning starts as soon as the replay allows: only the time until then differs from the paper.
SETTINGS = node("algo", "dec_hdrqn", learning_starts=0)
PERIOD: int = SETTINGS["update_every"]
"""Environment steps from one update to the next."""


def game(name: str, num_envs: int, changes: Mapping[str, Any]) -> Env:
    """Return one of marlrun's games."""
    return build_env(node("env", name, **changes), [0], CPU, [], num_envs=num_envs)


def ours(replicas: int = 1, device: torch.device = CPU) -> tuple[DecHDRQN, Call]:
    """Return a learner that has begun to learn, and a call that runs one period of its loop."""
    env = build_env(GAME, range(replicas), device, [])
    learner = build_learner(SETTINGS, env, range(replicas), device, [], env.num_envs, None)
    assert isinstance(learner, DecHDRQN)
    ticks = online(learner, env, learner.policy(explore=True, seeds=learner.seeds), env.reset())
    while learner.updates == 0:
        next(ticks)
    return learner, partial(_period, ticks)


COPIES, ROLLOUT = 16, 128
"""Of spread and of its steps, in `ippo`."""
IPPO = node(
    "algo",
    "ippo",
    share="both",
    activation="tanh",
    rollout=ROLLOUT,
    epochs=4,
    minibatches=4,
    gamma=0.99,
    lr=2.5e-4,
    lr_final=0.0,
    anneal_steps=10_000_000,
    value_clip=0.2,
    normalise_values=False,
)
"""The network and the settings of JaxMARL's baselines/IPPO/config/ippo_ff_mpe.yaml."""


def ippo(replicas: int) -> tuple[PPO, Iterator[Tick]]:
    """Return a learner on spread, 16 copies a replica, and its loop of training."""
    seeds = range(replicas)
    env = build_env(node("env", "spread"), seeds, CPU, [], num_envs=COPIES)
    learner = build_learner(IPPO, env, seeds, CPU, [], env.num_envs, None)
    assert isinstance(learner, PPO)
    return learner, online(learner, env, learner.policy(True, seeds), env.reset())


def plain() -> tuple[reference.DecHDRQN, Call]:
    """Return the same of the reference version."""
    torch.manual_seed(0)
    keys = ("size", "num_agents", "slip", "motion", "horizon")
    game = reference_games.TargetCapture(**{key: GAME[key] for key in keys})
    starts = (SETTINGS["batch"] + 1) * GAME["horizon"]
    learner = reference.DecHDRQN(GAME["num_agents"], 4, 5, starts, SETTINGS)
    ticks = reference.online(learner, game)
    while learner.clock < starts:
        next(ticks)
    return learner, partial(_period, ticks)


def _period(ticks: Iterator[object]) -> None:
    for _ in range(PERIOD):
        next(ticks)


def update_flops(learner: DecHDRQN) -> int:
    """Return the arithmetic of one replica's update: two for each product of a weight.

    Forward over T + 1 steps by the target network, forward and backward (as much for the inputs as
    for the weights) over T by the online network, for all agents.
    """
    shapes = learner.net.live.items()
    weights = sum(math.prod(shape) for name, shape in shapes if "bias" not in name)
    steps = (learner.replay.trace + 1) + 3 * learner.replay.trace
    return 2 * weights * steps * learner.replay.batch * learner.spec.num_agents
