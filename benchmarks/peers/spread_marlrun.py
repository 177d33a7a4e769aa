"""marlrun's spread in the loop of training, with the learner that draws actions and learns nothing."""

from itertools import islice

from benchmarks.peers.turns import HORIZON, answer, begin

count = begin()

from benchmarks.setting import CPU, game  # noqa: E402
from marlrun.algos.random import Random  # noqa: E402
from marlrun.runner.device import set_up  # noqa: E402
from marlrun.runner.loop import online  # noqa: E402

set_up(threads=1)
env = game("spread", count, {})
learner = Random(env.spec, [0], CPU, num_envs=count)
ticks = online(learner, env, learner.policy(explore=True, seeds=[0]), env.reset())


def play() -> int:
    """Play one episode in every copy."""
    for _ in islice(ticks, HORIZON):
        pass
    return HORIZON * count


answer(play)
