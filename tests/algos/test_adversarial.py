"""MA-AIRL and MA-GAIL: numbers worked by hand, identities, and what a discriminator learns from."""

import math
from dataclasses import replace

import pytest
import torch
from algos.demonstrated import CPU, DISCRIMINATOR, SETTINGS, changed, demonstrations, train
from algos.test_ppo import SPEC
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot

from marlrun.algos.imitation.adversarial import Adversarial
from marlrun.algos.imitation.cloning import Cloning
from marlrun.algos.ma_airl import AIRL, ma_airl
from marlrun.algos.ma_gail import GAIL, ma_gail
from marlrun.data.transitions import Transitions
from marlrun.nets.recovered import recovered_reward
from marlrun.ops.adversarial import balanced_shares, cross_entropy, shaped
from marlrun.types import Change, Choice, Spec

ONE = Spec(1, ("a",), (1,), (2,), horizon=3, discount=1.0)
LINEAR = replace(DISCRIMINATOR, hidden=[])


def set_line(rows, weights, bias):
    """Make a linear network of one output w . x + b."""
    with torch.no_grad():
        rows.zero_()
        columns = 8  # for which a thin output has room
        for index, weight in enumerate(weights):
            rows[:, index * columns] = weight
        inputs = len(weights) + -len(weights) % 4
        rows[:, inputs * columns] = bias


def play(obs, action, next_obs, terminated):
    """Return transitions of one agent in one replica from lists."""
    numbers = [torch.tensor(part).view(1, -1, 1) for part in (obs, action, next_obs, terminated)]
    obs, action, next_obs, terminated = numbers
    counts = torch.ones(obs.shape)
    return Transitions(obs.unsqueeze(-1), action, next_obs.unsqueeze(-1), terminated, counts, None)


def airl(pays="f_minus_logq", settings=LINEAR):
    """Return discriminators with g(o) = 2 o + 1 and h(o) = 3 o - 1, gamma .5."""
    discriminator = AIRL(ONE, [3], CPU, pays=pays, gamma=0.5, settings=settings)
    set_line(discriminator.rows["h"], [3.0], -1.0)
    set_line(discriminator.rows["g"], [2.0] if settings.inputs == "state" else [2.0, 0.0, 5.0], 1.0)
    return discriminator


BATCH = play([1.0, 1.0, 0.0], [0, 1, 1], [2.0, 2.0, 1.0], [False, True, False])
LOG_PI = torch.tensor([0.5, 0.25, 1.0]).log().view(1, -1, 1)
# g = 3, 3, 1; h(o) = 2, 2, -1; h(o') = 5, 5 (but the task ended), 2.
F = torch.tensor([3 + 2.5 - 2, 3 - 2, 1 + 1 + 1]).view(1, -1, 1)


def test_the_logit_of_airl_by_hand():
    torch.testing.assert_close(airl().f(BATCH), F)
    torch.testing.assert_close(airl().logit(BATCH, LOG_PI), F - LOG_PI)
    with_action = airl(settings=replace(LINEAR, inputs="state_action"))
    expected = F + torch.tensor([0.0, 5.0, 5.0]).view(1, -1, 1)
    torch.testing.assert_close(with_action.f(BATCH), expected)


@pytest.mark.parametrize(
    ("pays", "expected"),
    [("g", torch.tensor([3.0, 3.0, 1.0]).view(1, -1, 1)), ("f", F), ("f_minus_logq", F - LOG_PI)],
)
def test_what_airl_pays_by_hand(pays, expected):
    torch.testing.assert_close(airl(pays).reward(BATCH, LOG_PI), expected)


def test_what_policies_of_airl_are_paid_is_log_d_less_log_1_minus_d():
    """D = exp f / (exp f + pi), written out."""
    odds, pi = F.exp(), LOG_PI.exp()
    d = odds / (odds + pi)
    torch.testing.assert_close(airl().reward(BATCH, LOG_PI), d.log() - (1 - d).log())


def test_at_one_half_nobody_is_paid():
    discriminator = airl()
    set_line(discriminator.rows["h"], [0.0], 0.0)
    set_line(discriminator.rows["g"], [0.0], math.log(0.25))
    logit = discriminator.logit(BATCH, torch.full((1, 3, 1), math.log(0.25)))
    torch.testing.assert_close(logit.sigmoid(), torch.full((1, 3, 1), 0.5))
    torch.testing.assert_close(logit, torch.zeros(1, 3, 1))


def test_what_gail_pays_by_hand():
    """D(o, a) = sigmoid(o - 2 + 4 [a = 1])."""
    settings = replace(LINEAR, inputs="state_action")
    logit = torch.tensor([-1.0, 3.0, 2.0]).view(1, -1, 1)
    for pays, expected in (("logit", logit), ("log_d", logsigmoid(logit))):
        gail = GAIL(ONE, [3], CPU, pays=pays, settings=settings)
        set_line(gail.rows["discriminator"], [1.0, 0.0, 4.0], -2.0)
        torch.testing.assert_close(gail.logit(BATCH, LOG_PI), logit)
        torch.testing.assert_close(gail.reward(BATCH, LOG_PI), expected)
        torch.testing.assert_close(gail.recovered(BATCH.obs, BATCH.action), expected)


def test_what_airl_recovers_is_g():
    discriminator = airl("f_minus_logq")
    expected = torch.tensor([3.0, 3.0, 1.0]).view(1, -1, 1)
    torch.testing.assert_close(discriminator.recovered(BATCH.obs, BATCH.action), expected)


def test_shaping_sums_to_what_does_not_depend_on_the_way():
    """Of an episode that ends: -h(o_0), of one that is cut: gamma^T h(o_T) - h(o_0)."""
    h, gamma = torch.tensor([2.0, -7.0, 4.0, 11.0]), 0.5
    for ends, expected in ((True, -2.0), (False, 0.125 * 11 - 2)):
        terminated = torch.tensor([False, False, ends])
        parts = shaped(h[:-1], h[1:], terminated, gamma)
        assert float((parts * gamma ** torch.arange(3)).sum()) == pytest.approx(expected)


def test_the_cross_entropy_is_torchs_and_its_gradient_is_d_less_the_label():
    torch.manual_seed(0)
    logit = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    is_expert = torch.tensor([False, False, False, False, True, True]).unsqueeze(1)
    loss = cross_entropy(logit, is_expert)
    label = is_expert.double().expand_as(logit)
    expected = binary_cross_entropy_with_logits(logit, label, reduction="none")
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss.sum(), logit)
    torch.testing.assert_close(gradient, logit.sigmoid() - label)


def test_both_kinds_weigh_one_half_and_who_had_left_nothing():
    counts = torch.ones(1, 5, 2)
    counts[0, 1, 0] = counts[0, 4, 1] = 0.0
    is_expert = torch.tensor([False, False, False, True, True]).unsqueeze(1)
    share = balanced_shares(counts, is_expert)
    sixth = 1 / 6
    first, second = [0.25, 0.0, 0.25, 0.25, 0.25], [sixth, sixth, sixth, 0.5, 0.0]
    torch.testing.assert_close(share[0].T, torch.tensor([first, second]))


def learner(make=ma_airl, seeds=(3,), reward=None, spec=SPEC, **changes):
    reward = reward or ("f_minus_logq" if make is ma_airl else "log_d")
    return make(spec, list(seeds), CPU, num_envs=6, reward=reward, settings=changed(**changes))


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_step_is_adams_on_the_cross_entropy(l2):
    teacher = learner(discriminator={"steps": 1, "l2": l2}, replay={"share": 0.0}).teacher
    other = learner(discriminator={"steps": 1, "l2": l2}, replay={"share": 0.0}).teacher
    rows = list(other.discriminator.rows.values())
    optimiser = torch.optim.Adam(rows, lr=0.01, weight_decay=l2)
    for seed in range(3):
        data = random_play(12, seed)
        teacher.learn(data, 0.0)
        batch = other._batches(other._layout.pack(data.parts))
        logit = other.discriminator.logit(batch, other._log_pi(batch).detach())
        label = (torch.arange(10) >= 5).float().view(1, -1, 1).expand_as(logit)
        optimiser.zero_grad()
        # A mean over the samples of each agent.
        (binary_cross_entropy_with_logits(logit, label, reduction="sum") / 10).backward()
        optimiser.step()
    for name, parameter in teacher.discriminator.rows.items():
        torch.testing.assert_close(parameter, other.discriminator.rows[name], atol=1e-6, rtol=1e-5)


def random_play(size, seed=0, replicas=1, spec=SPEC):
    generator = torch.Generator().manual_seed(seed)
    shape = replicas, size, spec.num_agents, max(spec.obs_sizes)
    obs, next_obs = torch.rand(2, *shape, generator=generator)
    action = (torch.rand(*shape[:-1], generator=generator) * torch.tensor(spec.num_actions)).long()
    terminated = torch.rand(*shape[:-1], generator=generator) < 0.3
    return Transitions(obs, action, next_obs, terminated, torch.ones(shape[:-1]), None)


def marked(size, mark):
    return random_play(size)._replace(obs=torch.full((1, size, 2, 3), float(mark)))


def test_a_batch_holds_present_play_past_play_and_the_expert():
    """Three of five samples of policies are drawn from all play so far, two from the present one."""
    teacher = learner(discriminator={"steps": 4}).teacher
    seen = set()
    for mark in (1, 2, 3):
        batches = teacher._batches(teacher._layout.pack(marked(8, mark).parts))
        sources = batches.obs[0, :, 0, 0].view(4, 10)
        past, present, expert = sources[:, :3], sources[:, 3:5], sources[:, 5:]
        assert (present == mark).all()
        assert ((past >= 1) & (past <= mark)).all()
        assert (expert < 1).all()
        seen |= set(past.flatten().tolist())
    assert seen == {1.0, 2.0, 3.0}


def test_the_probability_of_what_was_done_long_ago_is_that_of_now():
    """Also of what symmetries made of it: agent a's features and actions are swapped."""
    swapped = Change((1, 0, 2), (1, 1, 1), (1, 0))
    same = Change((0, 1, 2), (1, 1, 1), (0, 1))
    choice = Choice("landmarks", ((swapped, same),), joint=True, alone=True)
    spec = replace(SPEC, symmetries=(choice,))
    imitation = learner(spec=spec, symmetries="permutations", replay={"share": 1.0})
    plain = learner(spec=spec, replay={"share": 1.0})
    networks, data = imitation.ppo.networks, random_play(8)
    batches, originals = (
        x.teacher._batches(x.teacher._layout.pack(data.parts)) for x in (imitation, plain)
    )
    torch.testing.assert_close(batches.obs[..., 0, :], originals.obs[..., 0, [1, 0, 2]])
    torch.testing.assert_close(batches.next_obs[..., 0, :], originals.next_obs[..., 0, [1, 0, 2]])
    assert torch.equal(batches.action[..., 0], 1 - originals.action[..., 0])
    assert torch.equal(batches.action[..., 1], originals.action[..., 1])
    before = imitation.teacher._log_pi(batches)
    with torch.no_grad():
        networks.rows["actor"].mul_(3.0)
    after = imitation.teacher._log_pi(batches)
    assert not torch.equal(before, after)
    expected = networks.log_prob(batches.obs, batches.action)
    assert torch.equal(after, expected)


@pytest.mark.parametrize("symmetries", ["none", "permutations"])
def test_what_was_the_only_allowed_action_had_probability_one(symmetries):
    swapped = Change((0, 1, 2), (1, 1, 1), (1, 0))
    choice = Choice("landmarks", ((swapped, swapped),), joint=True, alone=True)
    spec = replace(SPEC, has_action_mask=True, symmetries=(choice,))
    imitation = learner(spec=spec)
    networks, settings = imitation.ppo.networks, changed(symmetries=symmetries)
    expert, data = (
        part._replace(action_mask=one_hot(part.action, 2).bool())
        for part in (imitation.expert, random_play(8))
    )
    discriminator = imitation.teacher.discriminator
    teacher = Adversarial(discriminator, networks, expert, spec, [3], settings)
    batches = teacher._batches(teacher._layout.pack(data.parts))
    assert teacher._log_pi(batches).eq(0).all() and batches.action.float().std() > 0
    assert teacher._log_pi(data).eq(0).all()
    assert Cloning(networks, expert, [3], CPU, 5, None, key="batch").loss(expert).eq(0).all()


def test_potentials_are_discounted_as_returns_are():
    discriminator = learner(ppo={"gamma": 0.25}).teacher.discriminator
    data = random_play(8)
    goes_on, ends = (
        discriminator.f(data._replace(terminated=torch.full((1, 8, 2), end)))
        for end in (False, True)
    )
    expected = 0.25 * discriminator._h(data.next_obs, data.action)
    torch.testing.assert_close(goes_on - ends, expected)


def test_networks_know_from_the_beginning_what_experts_see():
    imitation = learner(discriminator={"normalise": True})
    obs = imitation.expert.obs
    seen = imitation.teacher.discriminator.inputs(obs)
    torch.testing.assert_close(seen.mean(1), torch.zeros(1, 2, 3), atol=1e-5, rtol=0)


def test_whoever_sees_all_is_shown_what_moves_all_together():
    same = Change((0, 1, 2), (1, 1, 1), (0, 1))
    for view, joint, alone in (("all", False, True), ("own", True, False)):
        choice = Choice("others", ((same, same),), joint=joint, alone=alone)
        spec = replace(SPEC, symmetries=(choice,))
        with pytest.raises(ValueError, match="algo.symmetries=all: expected none"):
            learner(spec=spec, symmetries="all", discriminator={"view": view})
        other = replace(SPEC, symmetries=(choice._replace(joint=alone, alone=joint),))
        assert learner(spec=other, symmetries="all", discriminator={"view": view})


def test_gail_asks_no_policy_for_probabilities():
    with_actions = {"inputs": "state_action"}
    alike, other = (learner(ma_gail, discriminator=with_actions) for _ in range(2))
    with torch.no_grad():
        other.ppo.networks.rows["actor"].mul_(-3.0)
    for x in (alike, other):
        x.teacher.learn(random_play(8), 0.0)
    assert torch.equal(alike.teacher.pay(random_play(8)), other.teacher.pay(random_play(8)))
    other.ppo.networks.log_prob = None  # a call would raise
    other.teacher.learn(random_play(8), 0.0)


def test_a_discriminator_learns_what_experts_see():
    imitation = learner(discriminator={"lr": 0.05, "lr_final": 0.05, "l2": 0.0, "steps": 50})
    for _ in range(4):
        metrics = imitation.teacher.learn(marked(20, 2.0), 0.0)
    assert metrics["disc/loss"].shape == (1, 2)
    assert metrics["disc/loss"].max() < 0.1
    assert metrics["disc/accuracy_expert"].min() > 0.95 < metrics["disc/accuracy_policy"].min()
    assert (metrics["disc/logit_expert"] > metrics["disc/logit_policy"]).all()


def test_the_step_size_goes_to_its_end_with_training():
    moved = []
    for progress in (0.0, 0.5, 1.0):
        teacher = learner(discriminator={"steps": 1, "lr_final": 0.0}).teacher
        before = teacher.discriminator.rows["g"].detach().clone()
        teacher.learn(random_play(8), progress)
        moved.append(float((teacher.discriminator.rows["g"].detach() - before).abs().max()))
    torch.testing.assert_close(
        torch.tensor(moved), torch.tensor([0.01, 0.005, 0.0]), atol=1e-4, rtol=0
    )


def test_without_replay_nothing_is_kept():
    assert "reservoir" not in learner(replay={"share": 0.0}).state_dict()["teacher"]
    assert learner().state_dict()["teacher"]["reservoir"]["num_seen"] == 0


@pytest.mark.parametrize("make", [ma_airl, ma_gail])
def test_the_reward_that_is_kept_is_the_one_that_is_reported(make):
    imitation = learner(make, discriminator={"normalise": True})
    train(imitation, [3])
    data = random_play(8)
    kept = recovered_reward(imitation.recovered_reward(), CPU)
    assert torch.equal(
        kept(data.obs, data.action), imitation.teacher.recovered(data.obs, data.action)
    )
    paid = imitation.teacher.pay(data)
    if make is ma_gail:
        assert torch.equal(paid, kept(data.obs, data.action))


def test_what_a_game_has_not_is_refused():
    with pytest.raises(ValueError, match="algo.symmetries=all: expected none"):
        learner(symmetries="all")
    with pytest.raises(
        ValueError, match=r"algo.replay.capacity=10000000000000 replicas=1: this takes"
    ):
        learner(replay={"capacity": 10**13})
    with pytest.raises(ValueError, match="algo.ppo.minibatches=99: expected at most"):
        learner(ppo={"minibatches": 99})


def test_it_is_an_adversarial_teacher_unless_a_control_is_asked_for():
    assert isinstance(learner().teacher, Adversarial)
    assert not isinstance(learner(reward="constant").teacher, Adversarial)
    assert SETTINGS.demonstrations == demonstrations()
