"""Demonstrations of random play, for learners that must have some in a game for which none ship."""

from pathlib import Path

import torch

from marlrun.algos.random import Random
from marlrun.config.nested import Config
from marlrun.data.demonstrations import write
from marlrun.runner.build import build_env, settled
from marlrun.runner.recording import Recording

CPU = torch.device("cpu")
CLONES = ("bc",)
"""Learners that count updates."""
LEARNERS = ("bc", "ma_airl", "ma_airl_faithful", "ma_gail")


def demonstrate_at_random(node: Config, path: Path, plugins=(), episodes: int = 6) -> Path:
    """Write whole episodes of the game of a configuration's node `env`."""
    env = build_env(node, [0], CPU, plugins, num_envs=episodes)
    spec, recording, step = env.spec, Recording(0), env.reset()
    policy = Random(spec, [0], CPU, num_envs=episodes).policy(True, [0])
    for _ in range(spec.horizon):
        action = policy(step)
        after = env.step(action)
        recording.add(step, action, after)
        step = env.restart(after)
    recording.close()
    card = {
        "agents": list(spec.agent_names),
        "obs_sizes": list(spec.obs_sizes),
        "num_actions": list(spec.num_actions),
        "env": dict(settled(node, plugins)),
    }
    with path.open("wb") as file:
        write(file, card, recording.episodes)
    return path
