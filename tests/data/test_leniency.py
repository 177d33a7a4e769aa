"""Temperatures of state-action pairs, by hand."""

import math
from typing import Any

import pytest
import torch

from marlrun.data.leniency import Leniency

CPU = torch.device("cpu")


def leniency(seeds=(0,), **changes: Any) -> Leniency:
    keys = {
        "num_agents": 2,
        "obs_size": 3,
        "num_actions": 4,
        "factor": 2.0,
        "decay": 0.5,
        "bits": 12,
    }
    return Leniency(seeds, CPU, **(keys | changes))


def weights(subject: Leniency, obs: torch.Tensor, *actions: int) -> list[float]:
    """Return what stands behind an observation of one replica, one copy and two agents."""
    marked = subject.marked(obs.view(1, 1, 2, 3), torch.tensor(actions).view(1, 1, 2))
    assert torch.equal(marked[..., :3], obs.view(1, 1, 2, 3))
    return marked[0, 0, :, 3].tolist()


def strict(temperature: float) -> float:
    return pytest.approx(math.exp(-2.0 * temperature), rel=1e-6)


def test_a_pair_cools_at_each_visit_by_hand():
    subject = leniency()
    here, there = torch.tensor([[0.1, 0.2, 0.3]] * 2), torch.tensor([[-0.4, 0.3, -0.1]] * 2)
    assert weights(subject, here, 0, 1) == [strict(1), strict(1)]
    # Agent 0 does the same again, agent 1 something else.
    assert weights(subject, here, 0, 2) == [strict(0.5), strict(1)]
    assert weights(subject, there, 0, 1) == [strict(1), strict(1)]
    assert weights(subject, here, 0, 1) == [strict(0.25), strict(0.5)]


def test_an_old_pair_is_judged_without_leniency():
    subject = leniency()
    subject.visits.fill_(10**6)
    assert weights(subject, torch.zeros(2, 3), 0, 0) == [1.0, 1.0]


def test_like_observations_share_a_temperature_and_unlike_ones_do_not():
    """As many kinds of observations as there are cells of a small torus and its targets, nearly."""
    position = torch.cartesian_prod(*[torch.arange(4)] * 4)
    obs = (position - 1.5) / 4
    subject = leniency(num_agents=1, obs_size=4, bits=20)
    cells = subject.visit(obs.view(1, 256, 1, 4), torch.zeros(1, 256, 1, dtype=torch.int64))
    assert cells.sum() == 0  # All were met at once.
    assert (subject.visits > 0).sum() >= 200
    near = obs + 1e-4
    subject.visit(near.view(1, 256, 1, 4), torch.zeros(1, 256, 1, dtype=torch.int64))
    assert (subject.visits % 2 == 0).all()
    coarse = leniency(num_agents=1, obs_size=4, bits=1)
    coarse.visit(obs.view(1, 256, 1, 4), torch.zeros(1, 256, 1, dtype=torch.int64))
    assert coarse.visits.sum() == 256 and (coarse.visits > 0).sum() == 2


def test_copies_that_meet_a_pair_at_once_cool_it_once_each():
    subject = leniency(num_agents=1)
    obs, action = torch.ones(1, 3, 1, 3), torch.zeros(1, 3, 1, dtype=torch.int64)
    assert subject.visit(obs, action).flatten().tolist() == [0, 0, 0]
    assert subject.visit(obs, action).flatten().tolist() == [3, 3, 3]


def test_a_replica_is_alone_in_company():
    obs, action = torch.randn(50, 3, 2, 2, 3), torch.randint(4, (50, 3, 2, 2))
    company = leniency((3, 4, 5), bits=3)
    together = torch.stack([company.marked(*step) for step in zip(obs, action, strict=True)])
    for replica, seed in enumerate((3, 4, 5)):
        alone, part = leniency((seed,), bits=3), slice(replica, replica + 1)
        for t in range(50):
            assert torch.equal(alone.marked(obs[t, part], action[t, part]), together[t, part])
    assert together[..., 3].unique().numel() > 5
