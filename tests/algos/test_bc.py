"""Behaviour cloning: what is shown is learned, what is held out is not, and runs go on."""

from copy import deepcopy

import pytest
import torch
from algos.demonstrated import CPU, demonstrations, tensors
from algos.test_ppo import SPEC

from marlrun.algos.bc import BC, BCSettings
from marlrun.types import Step


def first_feature(obs):
    """Agent a acts by its first feature, agent b by its opposite."""
    return torch.stack(((obs[:, 0, 0] > 0.5).long(), (obs[:, 1, 0] < 0.5).long()), 1)


def make(seeds, *, episodes=40, policy=first_feature, **changes):
    keys = {
        "demonstrations": demonstrations(episodes=episodes, policy=policy),
        "demonstrations_episodes": None,
        "validation": 0.25,
        "symmetries": "none",
        "batch": 50,
        "lr": 0.03,
        "share": "none",
        "hidden": [8],
        "activation": "tanh",
        "normalise_observations": True,
        "eval_greedy": True,
    }
    return BC(SPEC, list(seeds), CPU, num_envs=1, settings=BCSettings(**keys | changes))


def a_step(replicas=1):
    flag = torch.zeros(replicas, 500, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    obs = torch.rand(1, 500, 2, 3, generator=generator).expand(replicas, -1, -1, -1)
    return Step(flag, obs, torch.zeros(replicas, 500, 2), flag, flag)


def test_it_does_what_the_expert_does():
    learner, step = make([3]), a_step()
    losses = [learner.update() for _ in range(300)]
    action = learner.policy(False, [3])(step)[0]
    assert (action == first_feature(step.obs[0])).float().mean() > 0.93
    assert losses[0]["loss/policy"].shape == (1, 2)
    assert losses[-1]["loss/validation"].max() < 0.25 < losses[0]["loss/validation"].min()


def test_what_is_held_out_is_not_learned_from():
    """In the last quarter of the episodes the expert does the opposite."""
    numbers = iter(range(8))

    def policy(obs):
        action = first_feature(obs)
        return action if next(numbers) < 6 else 1 - action

    learner = make([3], episodes=8, policy=policy)
    for _ in range(200):
        metrics = learner.update()
    assert metrics["loss/policy"].max() < 0.1
    assert metrics["loss/validation"].min() > 3.0


def test_nothing_is_held_out_where_that_is_asked_for():
    assert make([3], validation=0.0).update().keys() == {"loss/policy"}
    with pytest.raises(ValueError, match="algo.validation=0.9: expected less, so that one of 1 "):
        make([3], episodes=1, validation=0.9)


def test_a_batch_that_the_memory_cannot_hold_is_refused_by_its_key():
    with pytest.raises(ValueError, match="algo.batch=100000000000 replicas=1: this takes about"):
        make([3], batch=10**11)


def test_only_so_many_episodes_are_learned_from():
    with pytest.raises(ValueError, match="one of 1 episodes"):
        make([3], demonstrations_episodes=1, validation=0.9)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("share", ["none", "policy"])
def test_a_replica_learns_the_same_alone_and_in_company(share):
    learners = [make(seeds, share=share) for seeds in ([3, 4], [3], [4])]
    together, *alone = [[learner.update() for _ in range(9)][-1] for learner in learners]
    for index, metrics in enumerate(alone):
        for tag, value in metrics.items():
            assert torch.equal(value[0], together[tag][index])


def test_it_goes_on_from_its_state():
    whole, first, second = make([3, 4]), make([3, 4]), make([3, 4])
    for number in range(9):
        whole.update()
        if number < 4:
            first.update()
    second.load_state_dict(deepcopy(first.state_dict()))
    for _ in range(5):
        second.update()
    parts, expected = tensors(second.state_dict()), tensors(whole.state_dict())
    assert parts.keys() == expected.keys()
    for name, part in parts.items():
        assert torch.equal(part, expected[name]), name


def test_a_policy_samples_unless_it_is_to_be_greedy():
    step = a_step()
    sampling = make([3], eval_greedy=False).policy(False, [3])
    assert not torch.equal(sampling(step), sampling(step))
    greedy = make([3]).policy(False, [3])
    assert torch.equal(greedy(step), greedy(step))
