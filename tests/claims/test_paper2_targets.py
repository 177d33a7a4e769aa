"""The script that drives agents of networked_spread to their targets: what it does, and that it earns."""

import torch
from envs.games import make
from paper2.targets import drive, targets

from marlrun.types import Step


def seen(*agents: tuple[tuple[float, float], ...]) -> Step:
    """Return a step of agents, each (velocity, position, target)."""
    rows = torch.tensor(agents).transpose(0, 1).reshape(1, 1, 1, -1)
    num_agents, no = len(agents), torch.zeros(1, 1, dtype=torch.bool)
    obs = rows.expand(1, 1, num_agents, -1)
    return Step(no, obs, torch.zeros(1, 1, num_agents), no, no)


def test_it_pushes_along_the_longer_way_rests_when_there_and_brakes_before():
    still = (0.0, 0.0)
    step = seen(
        (still, still, (-1.0, 0.5)),
        (still, (0.2, 0.0), (1.0, 0.0)),
        (still, (0.0, 1.0), (0.5, 0.0)),
        (still, still, (0.5, 0.9)),
        (still, (0.3, 0.3), (0.32, 0.28)),
        ((1.0, 0.0), still, (0.2, 0.0)),
    )
    assert drive(step)[0, 0].tolist() == [1, 2, 3, 4, 0, 1]


def test_it_reads_the_observation_of_the_game_and_arrives():
    env = make("networked_spread", 3, num_agents=2, renewal=0.0)
    step = env.reset()
    for _ in range(60):
        step = env.step(drive(step))
    assert env.world.distance[-2:].max() < 0.3


def test_it_earns_more_than_random_play():
    found = targets([{"num_agents": 4}], num_ticks=60)
    rows = found["{'num_agents': 4}"]
    assert rows["drive"]["reward"]["interval"][0] > rows["random"]["reward"]["interval"][1]
    assert rows["scale"] > 0.3
