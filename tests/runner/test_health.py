import math

import pytest
import torch

from marlrun.algos.dec_hdrqn import DecHDRQN, DecHDRQNSettings
from marlrun.runner.health import Health
from marlrun.types import Spec


def test_bad_numbers_are_named():
    health = Health([7, 8], ["x", "y", "z"])
    bad = torch.zeros(2, 3, 4)
    health.check_state({"w": bad, "n": 3, "i": torch.zeros(2, dtype=torch.int64)}, "env step 10")
    bad[1, 2, 0] = torch.nan
    for state, path in (
        ({"net": {"w": bad}}, "net.w at env step 10, replica with seed 8, agent z"),
        ({"net": [0, bad.flatten(0, 1)]}, r"net\[1\] at env step 10, replica with seed 8, agent z"),
        ({"w": bad[:, :, :1].squeeze(-1).T}, "w at env step 10$"),
        ({"w": bad.sum((1, 2))}, "w at env step 10, replica with seed 8$"),
    ):
        with pytest.raises(FloatingPointError, match=f"NaN in {path}"):
            health.check_state(state, "env step 10")
    health.check_state({"w": torch.full((2,), -math.inf)}, "env step 10")
    with pytest.raises(FloatingPointError, match="infinity in loss .*seed 7"):
        health.check_metrics({"loss": torch.full((2,), -math.inf)}, "env step 10")


def learner():
    """Two replicas, two agents."""
    spec = Spec(2, ("left", "right"), (3, 3), (2, 2), horizon=4, discount=1.0)
    settings = DecHDRQNSettings(
        gamma=0.9,
        lr=0.1,
        beta=0.5,
        beta_final=None,
        beta_steps=1,
        hysteresis="squared",
        concurrent=True,
        double_q=False,
        target_history="matched",
        bootstrap_at_time_limit=False,
        cell="lstm",
        sizes=[4, 4, 4, 4],
        forget_bias=1.0,
        obs_scale=1.0,
        episodes=4,
        batch=2,
        trace=2,
        burn_in=0,
        leniency=None,
        leniency_decay=0.99,
        leniency_bits=1,
        learning_starts=0,
        update_every=1,
        target_every=10,
        epsilon_start=1.0,
        epsilon_final=0.1,
        epsilon_steps=1,
        eval_epsilon=0.0,
    )
    return DecHDRQN(spec, [7, 8], torch.device("cpu"), num_envs=1, settings=settings)


@pytest.mark.parametrize("path", ["online", "target", "optimizer.first", "optimizer.second"])
@pytest.mark.parametrize("member", range(4))
def test_bad_numbers_of_dec_hdrqn_are_named(path, member):
    state = tensor = learner().state_dict()
    for key in path.split("."):
        tensor = tensor[key]
    tensor[member, 5] = torch.nan
    seed, agent = (7, 7, 8, 8)[member], ("left", "right") * 2
    where = f"NaN in {path} at env step 10, replica with seed {seed}, agent {agent[member]}$"
    with pytest.raises(FloatingPointError, match=where):
        Health([7, 8], ["left", "right"]).check_state(state, "env step 10")
