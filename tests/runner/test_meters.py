import math
from dataclasses import replace

import pytest
import torch

from marlrun.runner import meters as module
from marlrun.runner.intervals import estimate
from marlrun.runner.meters import Clock, Meters, Returns, floats
from marlrun.types import Spec, Step

SPEC = Spec(1, ("a",), (1,), (2,), horizon=4, discount=0.5)


def tick(reward, done):
    """One replica, two copies, one agent."""
    reward = torch.tensor(reward).view(1, 2, 1)
    done = torch.tensor(done).view(1, 2)
    none = torch.zeros_like(done)
    return Step(none, reward[..., None], reward, done, none)


def test_returns_of_the_episodes_that_ended():
    returns = Returns(1, 2, SPEC, torch.device("cpu"))
    returns.add(tick([1.0, 8.0], [False, False]))
    returns.add(tick([2.0, 4.0], [False, True]))  # copy 1: 8 + 4 / 2 = 10
    returns.add(tick([4.0, 1.0], [True, True]))  # copy 0: 1 + 2 / 2 + 4 / 4 = 3; copy 1: 1
    returns.add(tick([9.0, 9.0], [False, False]))
    means, episodes = returns.take()
    assert episodes.tolist() == [3]
    assert means.tolist() == [[pytest.approx(14 / 3)]]
    returns.add(tick([2.0, 2.0], [True, False]))  # copy 0: 9 + 2 / 2
    means, episodes = returns.take()
    assert (means.tolist(), episodes.tolist()) == ([[10.0]], [1])
    means, episodes = returns.take()
    assert (means.tolist(), episodes.tolist()) == ([[0.0]], [0])


def test_a_return_of_a_continuing_task_is_the_mean_reward_per_step():
    spec = replace(SPEC, discount=1.0, continuing=True)
    returns = Returns(1, 2, spec, torch.device("cpu"))
    for time in range(8):  # copy 0: 0 .. 3 and 4 .. 7; copy 1: always 5
        returns.add(tick([float(time), 5.0], [time % 4 == 3] * 2))
    means, windows = returns.take()
    assert windows.tolist() == [4]
    assert means.tolist() == [[(1.5 + 5.5 + 5 + 5) / 4]]


def test_metrics_are_averaged_over_the_updates_that_gave_them():
    meters, buffer = Meters(), torch.tensor([1.0, 3.0])
    meters.add({"a": buffer})
    buffer += 2  # a learner may reuse its memory
    meters.add({"a": buffer, "b": torch.tensor([[1.0, 2.0], [3.0, 5.0]])})
    means = meters.take()
    assert floats(means["a"]) == [2.0, 4.0]
    assert floats(means["b"]) == [1.5, 4.0]
    assert meters.take() == {}


def test_of_a_total_the_newest_value_is_kept_to_the_last_digit():
    meters, cost = Meters(), torch.tensor([5, 2**24])
    for _ in range(3):
        cost += 1
        meters.add({"data/env_steps": cost})
    assert floats(meters.take()["data/env_steps"]) == [8.0, 2.0**24 + 3]


def test_the_clock_goes_on_from_where_it_stood(monkeypatch):
    now = 50.0
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    clock, unknown = Clock(7.5), Clock(None)
    now = 60.0
    clock.start()
    now = 62.25
    assert (clock.read(), unknown.read()) == (9.75, None)


def test_the_interval_is_students():
    # Values 1, 2, 3: mean 2, standard error 1 / sqrt 3, t(2, .975) = 4.30265.
    mean, low, high, count = estimate([1.0, 2.0, 3.0])
    assert (mean, count) == (2.0, 3)
    assert high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-5)
    assert low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-5)
    assert str(estimate([0.5])) == "0.500"
    assert str(estimate([1.0, 1.0])) == "1.000 [1.000, 1.000]"
