"""Algorithm 2: numbers by hand, what is sent, the central counterpart, episodes, replicas, resume."""

import copy
import math

import pytest
import torch
from algos.networked import (
    PAPER,
    SPEC,
    TEAM,
    TWO,
    VARIANTS,
    actions,
    check_alone_in_company,
    complete,
    learner,
    network,
    step,
    ticks,
    weights,
)
from envs.games import make

from marlrun.types import Spec

NAME = "networked_ac_v"
FIXED = TEAM | {
    "steps.critic": 0.1,
    "steps.critic_power": 0.0,
    "steps.actor": 0.01,
    "steps.actor_power": 0.0,
}


def by_hand(**changes):
    """V sees 1{s = 0}, the model (1{s = 0}, 1{s = 1}, a^0 - .5, a^1 - .5); numbers set by hand."""
    made = learner(NAME, network(TWO), **(FIXED | changes))
    made.critic.parameters.copy_(torch.tensor([[[0.4], [-0.2]]]))
    made.model.parameters.copy_(torch.tensor([[[0.5, 0.0, 0.2, 0.4], [1.0, 1.0, 0.0, 2.0]]]))
    made.actor.parameters[0, 0, 0] = math.log(3)  # pi^0(1 | s = 0) = .75; the others are .5
    made.average.copy_(torch.tensor([[0.5, 0.0]]))
    return made


def learn(made, **ends):
    made.observe(step(0, first=True), actions(1, 0), step(1, reward=(1.0, 2.0), **ends))
    return made.update()


# v~ = v + .1 delta and lambda~ = lambda + .1 error phi, and both mixed.
V_ADAPTED, V_MIXED = [0.41, 0.02], [0.3125, 0.1175]
MODEL_ADAPTED = [[0.56, 0.0, 0.23, 0.37], [1.2, 1.0, 0.1, 1.9]]
MODEL_MIXED = [[0.72, 0.25, 0.1975, 0.7525], [1.04, 0.75, 0.1325, 1.5175]]


@pytest.mark.parametrize(
    ("message", "v", "model"),
    [
        ("both", V_MIXED, MODEL_MIXED),
        ("critic", V_MIXED, MODEL_ADAPTED),
        ("reward", V_ADAPTED, MODEL_MIXED),
    ],
)
def test_one_step_by_hand(message, v, model):
    made = by_hand(**{"mixing.message": message})
    metrics = learn(made)
    # V = .4 and -.2, next 0: delta = 1 - .5 - .4 = .1 and 2 - 0 + .2 = 2.2
    torch.testing.assert_close(metrics["value/state"], torch.tensor([[0.4, -0.2]]))
    torch.testing.assert_close(metrics["loss/td"], torch.tensor([[0.01, 4.84]]))
    # phi = (1, 0, .5, -.5): the model says .4 and 0; errors .6 and 2
    torch.testing.assert_close(metrics["loss/reward"], torch.tensor([[0.36, 4.0]]))
    torch.testing.assert_close(made.critic.parameters[0, :, 0], torch.tensor(v))
    torch.testing.assert_close(made.model.parameters[0], torch.tensor(model))
    torch.testing.assert_close(made.average, torch.tensor([[0.55, 0.2]]))
    # delta~ = .4 - .5 + 0 - .4 = -.5 and 0 - 0 + 0 + .2 = .2; scores of the logits .25 and -.5
    theta = [[math.log(3) + 0.01 * -0.5 * 0.25, 0.0], [0.01 * 0.2 * -0.5, 0.0]]
    torch.testing.assert_close(made.actor.parameters[0], torch.tensor(theta))


def test_ends_of_episodes():
    episodic = Spec(2, ("a", "b"), (2, 2), (2, 2), 7, 1.0, num_states=2)
    for spec in (SPEC, episodic):
        for ends, next_value in (
            ({}, 0.3),
            ({"truncated": True}, 0.3),
            ({"terminated": True}, 0.0),
        ):
            made = by_hand(spec=spec)
            made.observe(step(1), actions(1, 0), step(0, reward=(1.0, 2.0), **ends))
            made.critic.parameters.fill_(0.3)
            expected = [(1 - 0.5 + next_value) ** 2, (2 + next_value) ** 2]
            assert made.update()["loss/td"].flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("settings", [PAPER, TEAM], ids=["random", "team"])
def test_complete_averaging_is_the_central_critic_on_a_shared_trajectory(settings):
    """Claim 2f for algorithm 2: v and lambda are those of the central run, the actors are not.

    With v^i = v and lambda^i = lambda, mixing by C = 11'/N averages delta^i and r^i - Rbar, which
    are linear in r^i and mu^i, as in algorithm 1. But the actor uses Rbar - mu^i + V' - V with its
    own mu^i, which is not the central one: so policies part, and trajectories would.
    """
    seeds = (3, 4)
    played, loop = ticks(NAME, complete(4, 2), seeds, 0, **settings)
    env = make("public_goods", *seeds, num_agents=4)
    central = learner(
        NAME, complete(4, 2), env.spec, seeds, **settings | {"mixing.communication": "central"}
    )
    observe = played.observe
    played.observe = lambda *seen: (observe(*seen), central.observe(*seen))
    for _ in range(300):
        next(loop)
        central.update()
    torch.testing.assert_close(played.critic.parameters, central.critic.parameters)
    torch.testing.assert_close(played.model.parameters, central.model.parameters)
    assert (played.actor.parameters - central.actor.parameters).abs().max() > 0.01
    assert played.critic.parameters.abs().max() > 0.1


def test_critic_and_model_share_a_round():
    made, _ = ticks(NAME, complete(4), (3,), 8, **TEAM | {"mixing.rounds": 2})
    assert made.consensus._graph.counter == 16


def test_metrics():
    made, loop = ticks(NAME, complete(4, 2), (3, 4), 15, **TEAM)
    assert {tag: tuple(value.shape) for tag, value in next(loop).metrics.items()} == {
        "loss/td": (2, 4),
        "loss/reward": (2, 4),
        "value/state": (2, 4),
        "value/average_reward": (2, 4),
        "consensus/disagreement": (2,),
        "consensus/reward_disagreement": (2,),
        "step/critic": (2,),
        "step/actor": (2,),
    }
    assert made.updates == 16
    assert "step/actor" not in next(loop).metrics


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_resume_is_the_same_run(settings):
    one, loop = ticks(NAME, complete(4, 2), (3, 4), 20, **settings)
    env = make("public_goods", 3, 4, num_agents=4)
    other = learner(NAME, complete(4, 2), env.spec, (3, 4), **settings)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    observe = one.observe
    one.observe = lambda *seen: (observe(*seen), other.observe(*seen))
    for _ in range(45):
        next(loop)
        other.update()
    assert all(map(torch.equal, weights(one), weights(other)))
    assert one.clock == other.clock == 65


# Sizes that fill no vector: a sum's order must not depend on the number of rows.
@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 33])
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_replica_is_alone_in_company(settings, size):
    check_alone_in_company(NAME, size, settings | {"mixing.tolerate": 1 if size > 3 else 0})


def test_several_copies_are_refused():
    with pytest.raises(ValueError, match="^env.num_envs=2: expected 1"):
        learner(NAME, network(TWO), SPEC, num_envs=2)
