import pytest
import torch

from marlrun.ops.schedules import StepSettings, StepSizes, polynomial


def test_polynomial():
    assert polynomial(2.0, 0.5, 3, 1) == 1.0
    assert polynomial(0.3, 0.0, 7, 1000) == 0.3
    assert polynomial(1.0, 0.65, 0, 100) == pytest.approx(10**-1.3)


def test_step_sizes_are_each_their_own():
    settings = StepSettings(critic=2.0, critic_power=0.5, actor=6.0, actor_power=1.0, offset=3)
    steps = StepSizes(settings, torch.device("cpu"))
    critic, actor = steps.critic, steps.actor
    steps.set(1)
    assert (critic.item(), actor.item()) == (1.0, 1.5)
    assert steps.average is critic
    told = steps.metrics(13, like=torch.zeros(2))
    assert {name: value.tolist() for name, value in told.items()} == {
        "step/critic": [0.5, 0.5],
        "step/actor": [0.375, 0.375],
    }
    assert (critic.item(), actor.item()) == (1.0, 1.5)


def test_the_average_reward_may_have_a_step_size_of_its_own():
    settings = StepSettings(0.001, 0.5, 0.01, 0.0, offset=0, average=0.02)
    steps = StepSizes(settings, torch.device("cpu"))
    steps.set(4)
    assert steps.average.item() == pytest.approx(0.02)
    assert steps.critic.item() == pytest.approx(0.0005)
