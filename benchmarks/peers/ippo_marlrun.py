"""marlrun's IPPO on spread in the loop of training, with the network and settings of JaxMARL's script."""

from itertools import islice

from benchmarks.peers.turns import answer, begin

replicas = begin()

from benchmarks.setting import CPU, node  # noqa: E402
from marlrun.runner.build import build_env, build_learner  # noqa: E402
from marlrun.runner.device import set_up  # noqa: E402
from marlrun.runner.loop import online  # noqa: E402

COPIES, ROLLOUT = 16, 128
SETTINGS = node(
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

set_up(threads=1)
seeds = range(replicas)
env = build_env(node("env", "spread"), seeds, CPU, [], num_envs=COPIES)
learner = build_learner(SETTINGS, env, seeds, CPU, [], COPIES, None)
ticks = online(learner, env, learner.policy(explore=True, seeds=seeds), env.reset())


def play() -> int:
    """Play a rollout and learn from it, in every replica."""
    for _ in islice(ticks, ROLLOUT):
        pass
    return ROLLOUT * COPIES * replicas


if __name__ == "__main__":
    answer(play)
