"""Recovered rewards: worked by hand, and the same after a file."""

import io
import math
from dataclasses import replace

import pytest
import torch

from marlrun.nets.discriminator import Inputs, Scores, ScoreSettings
from marlrun.nets.recovered import Constant, Nearest, Network, RecoveredReward, recovered_reward
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
SPEC = Spec(2, ("a", "b"), (2, 2), (3, 3), horizon=5, discount=1.0)
SETTINGS = ScoreSettings("own", "state", (8,), "tanh", normalise=False)


def network(kind, seeds=(3, 4), spec=SPEC, **changes):
    settings = replace(SETTINGS, **changes)
    inputs = Inputs(spec, len(seeds), CPU, normalise=settings.normalise)
    scores = Scores(spec, seeds, CPU, settings, name="score")
    return RecoveredReward(spec, seeds, Network(kind, inputs, scores)), inputs, scores


def reloaded(reward):
    file = io.BytesIO()
    torch.save(reward.state_dict(), file)
    file.seek(0)
    return recovered_reward(torch.load(file, weights_only=True), CPU)


def a_batch(seeds=(3, 4), spec=SPEC, steps=(4, 5)):
    obs = torch.randn(len(seeds), *steps, spec.num_agents, max(spec.obs_sizes))
    return obs, torch.randint(2, obs.shape[:-1])


@pytest.mark.parametrize("view", ["own", "all"])
@pytest.mark.parametrize("inputs", ["state", "state_action"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("kind", ["g", "log_d"])
def test_a_network_is_the_same_after_a_file(view, inputs, normalise, kind):
    reward, seen, scores = network(kind, view=view, inputs=inputs, normalise=normalise)
    obs, action = a_batch()
    seen.take_in(3 + 2 * obs.flatten(1, 2), torch.ones(2, 20, 2))
    again = reloaded(reward)
    assert torch.equal(reward(obs, action), again(obs, action))
    assert (again.spec, again.seeds, again.kind) == (SPEC, (3, 4), kind)
    before = again(obs, action)
    with torch.no_grad():
        scores.rows.mul_(2.0)
    assert torch.equal(again(obs, action), before)
    assert not torch.equal(reward(obs, action), before)
    assert (before < 0).all() or kind != "log_d"


def test_what_a_view_does_not_hold_changes_nothing_and_what_it_holds_does():
    obs, action = a_batch()
    others = obs.clone()
    others[..., 1, :] += 1
    moved = action.clone()
    moved[..., 0] = 2
    for view, sees_others in (("own", False), ("all", True)):
        for inputs, sees_actions in (("state", False), ("state_action", True)):
            reward = network("g", view=view, inputs=inputs)[0]
            of_first = reward(obs, action)[..., 0]
            assert torch.equal(reward(others, action)[..., 0], of_first) != sees_others
            assert torch.equal(reward(obs, moved)[..., 0], of_first) != sees_actions
            # Agent b sees what agent a does only in the view of all.
            seen = sees_others and sees_actions
            assert torch.equal(reward(obs, moved)[..., 1], reward(obs, action)[..., 1]) != seen


def test_padding_changes_nothing():
    spec = replace(SPEC, obs_sizes=(2, 1))
    obs, action = a_batch()
    dirty = obs.clone()
    dirty[..., 1, 1] = 77.0
    rewards = [
        network("g", spec=spec, view="all")[0],
        network("g", spec=spec)[0],
        RecoveredReward(spec, (3, 4), Nearest(spec, obs[0, 0].transpose(0, 1))),
    ]
    for reward in rewards:
        assert torch.equal(reward(obs, action), reward(dirty, action))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", ["network", "nearest"])
def test_a_replica_is_paid_the_same_alone_and_in_company(kind):
    obs, action = a_batch(steps=(29, 11))
    demonstrated = torch.randn(2, 501, 2)
    for index, seed in enumerate((3, 4)):
        if kind == "network":
            together, alone = network("g")[0], network("g", (seed,))[0]
        else:
            together = alone = RecoveredReward(SPEC, (seed,), Nearest(SPEC, demonstrated))
        of_all = together(obs, action)[index]
        assert torch.equal(of_all, alone(obs[index, None], action[index, None])[0])


def test_log_d_is_the_logarithm_of_the_discriminator():
    logit = network("logit")[0]
    log_d = network("log_d")[0]
    obs, action = a_batch()
    torch.testing.assert_close(log_d(obs, action), logit(obs, action).sigmoid().log())


def test_the_distance_to_the_nearest_demonstrated_observation_by_hand():
    # Agent a: the first feature has deviation 2, the second does not vary and is taken as it is.
    of_first = torch.tensor([[-2.0, 1.0], [2.0, 1.0]])
    of_second = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    demonstrated = torch.stack((of_first, of_second))
    reward = RecoveredReward(SPEC, (3,), Nearest(SPEC, demonstrated))
    obs = torch.tensor([[[[-2.0, 1.0], [0.0, 1.0]], [[8.0, 5.0], [3.0, 6.0]]]])
    action = torch.zeros(1, 2, 2, dtype=torch.long)
    expected = [[0.0, -1.0], [-5.0, -5.0]]
    torch.testing.assert_close(reward(obs, action), torch.tensor([expected]))
    assert torch.equal(reloaded(reward)(obs, action), reward(obs, action))


def test_the_nearest_is_that_of_a_search_over_all():
    demonstrated = torch.randn(2, 700, 2)
    reward = RecoveredReward(SPEC, (3,), Nearest(SPEC, demonstrated))
    obs, action = a_batch((3,), steps=(300,))
    scaled = demonstrated / demonstrated.std(1, correction=0, keepdim=True)
    points = obs[0].transpose(0, 1) / demonstrated.std(1, correction=0, keepdim=True)
    expected = -torch.cdist(points.double(), scaled.double()).amin(-1).T.float()
    torch.testing.assert_close(reward(obs, action)[0], expected, atol=1e-4, rtol=1e-4)


def test_of_many_demonstrated_observations_ten_thousand_are_kept():
    kept = Nearest(SPEC, torch.randn(2, 25_000, 2)).state_dict()["observations"]
    assert kept.shape == (2, 8334, 2)


def test_a_constant_is_paid_for_every_step_and_nothing_to_who_has_left():
    reward = reloaded(RecoveredReward(SPEC, (3,), Constant(-1.0)))
    assert reward.kind == "constant"
    obs, action = a_batch((3,), steps=(2,))
    flag = torch.zeros(1, 2, dtype=torch.bool)
    alive = torch.tensor([[[True, False], [True, True]]])
    before = Step(flag, obs, torch.zeros(1, 2, 2), flag, flag, alive)
    assert reward.reward(before, action, before).tolist() == [[[-1.0, 0.0], [-1.0, -1.0]]]


def test_a_constant_that_is_typed_as_a_whole_number_is_no_integer():
    obs, action = a_batch((3,), steps=(2,))
    reward = reloaded(RecoveredReward(SPEC, (3,), Constant(1)))(obs, action)
    assert reward.dtype == torch.float32 and (reward == 1).all()


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="expected a recovered reward of format 1"):
        recovered_reward({"format": 2}, CPU)


def test_a_network_that_is_too_large_is_refused_by_its_key():
    with pytest.raises(ValueError, match=r"algo.discriminator.hidden=.* this takes about"):
        network("g", hidden=(10**6, 10**6))


def test_inputs_are_normalised_by_the_moments_of_what_counts():
    inputs = Inputs(SPEC, 1, CPU, normalise=True)
    obs = torch.tensor([[[[1.0, 0.0]] * 2, [[3.0, 0.0]] * 2, [[99.0, 5.0]] * 2]])
    counts = torch.tensor([[[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]])
    inputs.take_in(obs, counts)
    seen = inputs(obs)
    torch.testing.assert_close(seen[0, :2, 0, 0], torch.tensor([-1.0, 1.0]))
    assert seen.max() == 10.0 and math.isfinite(float(seen.min()))
