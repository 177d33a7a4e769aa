"""marlrun's adversarial learners in the loop of training, by the settings that `marlrun` itself composes."""

import sys
from itertools import islice

from benchmarks.peers.turns import answer, begin

replicas = begin()

from hydra import compose, initialize_config_module  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from benchmarks.setting import CPU  # noqa: E402
from marlrun.algos.imitation.learner import Imitation  # noqa: E402
from marlrun.runner.build import build_env, build_learner  # noqa: E402
from marlrun.runner.demonstrations import shipped  # noqa: E402
from marlrun.runner.device import set_up  # noqa: E402
from marlrun.runner.loop import online  # noqa: E402

set_up(threads=1)
with initialize_config_module("marlrun.conf", version_base=None):
    job = compose("config", overrides=[f"algo={sys.argv[3]}", f"env={sys.argv[4]}"])
nodes = {key: OmegaConf.to_container(job[key], resolve=True) for key in ("algo", "env")}
seeds = range(replicas)
env = build_env(nodes["env"], seeds, CPU, [])
algo = nodes["algo"] | {"demonstrations": str(shipped(nodes))}
learner = build_learner(algo, env, seeds, CPU, [], env.num_envs, None)
assert isinstance(learner, Imitation)
ticks = online(learner, env, learner.policy(True, seeds), env.reset())


def play() -> int:
    """Play a rollout and learn from it, in every replica."""
    rollout = learner.settings.ppo.rollout
    for _ in islice(ticks, rollout):
        pass
    return rollout * env.num_envs * replicas


if __name__ == "__main__":
    answer(play)
