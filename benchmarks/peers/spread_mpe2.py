"""mpe2's simple_spread through its parallel_env. There is one copy, whatever is asked for."""

from benchmarks.peers.turns import HORIZON, answer, begin

begin()

import numpy as np  # noqa: E402
from mpe2 import simple_spread_v3  # noqa: E402

env = simple_spread_v3.parallel_env(max_cycles=HORIZON)
random = np.random.default_rng(0)


def play() -> int:
    """Play one episode."""
    env.reset()
    while env.agents:
        env.step(dict(zip(env.agents, random.integers(5, size=3).tolist(), strict=True)))
    return HORIZON


answer(play)
