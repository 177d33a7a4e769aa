"""VMAS's simple_spread, batched in torch. All copies reach the horizon together, so all are reset.

Actions are continuous: its default, and faster than its discrete ones.
"""

from benchmarks.peers.turns import HORIZON, answer, begin

count = begin()

import torch  # noqa: E402
import vmas  # noqa: E402

torch.set_num_threads(1)
env = vmas.make_env("simple_spread", count, max_steps=HORIZON, seed=0)


@torch.inference_mode()
def play() -> int:
    """Play one episode in every copy."""
    env.reset()
    for _ in range(HORIZON):
        env.step(env.get_random_actions())
    return HORIZON * count


answer(play)
