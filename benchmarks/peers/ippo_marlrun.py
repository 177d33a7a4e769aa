"""marlrun's IPPO on spread in the loop of training, with the network and settings of JaxMARL's script."""

from itertools import islice

from benchmarks.peers.turns import answer, begin

replicas = begin()

from benchmarks.setting import ROLLOUT, ippo  # noqa: E402
from marlrun.runner.device import set_up  # noqa: E402

set_up(threads=1)
learner, ticks = ippo(replicas)


def play() -> int:
    """Play a rollout and learn from it, in every replica."""
    for _ in islice(ticks, ROLLOUT):
        pass
    return ROLLOUT * learner.num_envs * replicas


if __name__ == "__main__":
    answer(play)
