"""PPO: what a replica does belongs to it alone, and small games are solved."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from marlrun.algos.ppo import PPO, PPOSettings
from marlrun.envs.matrix_game import MatrixGame
from marlrun.runner.loop import online
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
SETTINGS = PPOSettings(
    critic="own",
    share="none",
    hidden=[8],
    critic_hidden=[8],
    activation="tanh",
    rollout=4,
    epochs=2,
    minibatches=2,
    gamma=0.9,
    lam=0.8,
    lr=0.01,
    lr_final=0.001,
    entropy=0.01,
    entropy_final=0.0,
    anneal_steps=1000,
    clip=0.2,
    value_clip=None,
    max_grad_norm=0.5,
    target_kl=None,
    normalise_values=True,
    normalise_observations=True,
    eval_greedy=False,
)
COPIES = 6
SPEC = Spec(2, ("a", "b"), (3, 3), (2, 2), horizon=3, discount=1.0)
WITH_STATE = replace(SPEC, state_size=4)
UNEQUAL = replace(SPEC, obs_sizes=(3, 2), num_actions=(2, 3))


def make(seeds, spec=SPEC, **changes) -> PPO:
    settings = replace(SETTINGS, **changes)
    return PPO(spec, seeds, CPU, num_envs=COPIES, settings=settings)


def steps(seeds, spec, length):
    """Yield transitions whose numbers belong to each seed: (before, action, after)."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def rand(*shape):
        return torch.stack([torch.rand(*shape, generator=g) for g in generators])

    agents, obs_size = spec.num_agents, max(spec.obs_sizes)
    before = None
    for _ in range(length):
        obs = rand(COPIES, agents, obs_size)
        done = rand(COPIES) < 0.2
        after = Step(
            first=done & False,
            obs=obs,
            reward=rand(COPIES, agents),
            terminated=done & (rand(COPIES) < 0.5),
            truncated=done,
            state=None if spec.state_size is None else rand(COPIES, spec.state_size),
        )
        if before is not None:
            sizes = torch.tensor(spec.num_actions)
            yield before, (rand(COPIES, agents) * sizes).long(), after
        before = after._replace(first=done)


def trained(seeds, spec=SPEC, length=17, **changes) -> PPO:
    learner = make(seeds, spec, **changes)
    for transition in steps(seeds, spec, length):
        learner.observe(*transition)
        learner.update()
    return learner


VARIANTS = {
    "own": {},
    "central": {"critic": "central"},
    "policy shared": {"share": "policy"},
    "all shared": {"share": "both"},
    "all shared, central": {"share": "both", "critic": "central"},
    "by state": {"critic": "state", "spec": WITH_STATE},
    "by state, shared": {"critic": "state", "spec": WITH_STATE, "share": "both"},
    "some stop": {"target_kl": 1e-4, "lr": 0.05},
    "values clipped": {"value_clip": 0.1, "normalise_observations": False},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_replica_learns_the_same_alone_and_in_company(changes):
    together = trained([3, 4, 5], **changes)
    assert together.clock == 16 * COPIES
    for index, seed in enumerate([3, 4, 5]):
        alone = trained([seed], **changes)
        for name in ("actor", "critic"):
            rows, own_rows = (x.networks.rows[name] for x in (together, alone))
            size = len(own_rows)
            part = rows[size * index : size * (index + 1)]
            torch.testing.assert_close(part, own_rows, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("agents", [1, 3])
def test_probabilities_have_the_same_last_bits_alone_and_in_company(agents):
    """Sizes that no vector of 8 or 16 numbers divides."""
    spec = Spec(agents, ("a", "b", "c")[:agents], (3,) * agents, (5,) * agents, 3, 1.0)
    obs = torch.randn(3, 501, agents, 3)

    def learned(seeds, obs):
        networks = make(seeds, spec, share="policy").networks
        log_pi = networks.log_pi(obs, None)
        (gradient,) = torch.autograd.grad((log_pi * log_pi.exp()).sum(), networks.rows["actor"])
        return log_pi, gradient

    together = learned([3, 4, 5], obs)
    for index, seed in enumerate([3, 4, 5]):
        alone = learned([seed], obs[index : index + 1])
        for part, of_all in zip(alone, together, strict=True):
            assert torch.equal(part[0], of_all[index])


def test_a_critic_is_clipped_around_what_it_puts_out_though_the_moments_have_moved():
    untrained = make([3]).networks.rows["critic"]
    learners = [make([3], value_clip=clip, epochs=1, minibatches=1) for clip in (0.2, None)]
    for learner in learners:
        for start, action, after in steps([3], SPEC, 5):
            learner.observe(start, action, after._replace(reward=after.reward - 20))
            learner.update()
    clipped, free = (learner.networks.rows["critic"] for learner in learners)
    # Nothing is clipped at the first step of a rollout.
    assert torch.equal(clipped, free)
    assert not torch.equal(clipped, untrained)


def test_a_replica_that_has_gone_too_far_waits_and_the_others_do_not():
    free, held = trained([3, 4]), trained([3, 4], target_kl=1e-9)
    assert not torch.equal(free.networks.rows["actor"], held.networks.rows["actor"])
    # The first minibatch has no divergence yet, so one step is taken of each rollout.
    assert held.optimisers["actor"].state_dict()["steps"].tolist() == [[4.0]] * 4
    assert free.optimisers["actor"].state_dict()["steps"].tolist() == [[16.0]] * 4


@pytest.mark.parametrize("critic", ["own", "central"])
def test_padding_changes_nothing(critic):
    learner = make([3], UNEQUAL, critic=critic)
    other = make([3], UNEQUAL, critic=critic)
    for before, action, after in steps([3], UNEQUAL, 9):
        learner.observe(before, action, after)
        dirty = [x._replace(obs=x.obs.clone()) for x in (before, after)]
        for step in dirty:
            step.obs[..., 1, 2] = 77.0
        other.observe(dirty[0], action, dirty[1])
        learner.update()
        other.update()
    assert torch.equal(learner.networks.rows["actor"], other.networks.rows["actor"])
    assert torch.equal(learner.networks.rows["critic"], other.networks.rows["critic"])


def test_what_an_agent_would_do_after_it_left_changes_nothing():
    spec = replace(SPEC, agents_leave=True)
    learners = make([3], spec), make([3], spec)
    for transition in steps([3], spec, 9):
        before, action, after = transition
        alive = torch.ones(1, COPIES, 2, dtype=torch.bool)
        gone = alive.clone()
        gone[..., 1] = False
        for learner, dirt in zip(learners, (0.0, 5.0), strict=True):
            ends = (before._replace(alive=gone), after._replace(alive=gone))
            dirty = [x._replace(obs=x.obs.clone(), reward=x.reward.clone()) for x in ends]
            for step in dirty:
                step.obs[..., 1, :] += dirt
                step.reward[..., 1] += dirt
            learner.observe(dirty[0], action, dirty[1])
            learner.update()
    first, second = (learner.networks.rows["actor"] for learner in learners)
    assert torch.equal(first, second)
    untrained = make([3], spec).networks.rows["actor"]
    assert torch.equal(first[1], untrained[1])
    assert not torch.equal(first[0], untrained[0])


def test_forbidden_actions_have_no_probability_and_no_gradient():
    spec = replace(SPEC, has_action_mask=True)
    learner = make([3], spec)
    mask = torch.ones(1, COPIES, 2, 2, dtype=torch.bool)
    mask[..., 0] = False
    for before, _, after in steps([3], spec, 9):
        masked_steps = [x._replace(action_mask=mask) for x in (before, after)]
        action = learner.policy(True, [3])(masked_steps[0])
        assert (action == 1).all()
        learner.observe(masked_steps[0], action, masked_steps[1])
        metrics = learner.update()
        if metrics:
            assert metrics["explore/entropy"].abs().max() < 1e-6
            assert all(value.isfinite().all() for value in metrics.values())


def test_the_reward_is_asked_for_when_it_is_learned_from():
    learner, asked = make([3]), []

    def reward_fn(rollout):
        asked.append(rollout)
        return torch.zeros_like(rollout.reward)

    learner.reward_fn = reward_fn
    for transition in steps([3], SPEC, 10):
        learner.observe(*transition)
        learner.update()
    assert len(asked) == 2
    assert asked[0].obs.shape == (1, 4, COPIES, 2, 3)
    paid = trained([3], length=10)
    assert not torch.equal(paid.networks.rows["critic"], learner.networks.rows["critic"])


def test_it_goes_on_from_its_state_amid_a_rollout():
    whole, first = make([3, 4]), make([3, 4])
    transitions = list(steps([3, 4], SPEC, 12))
    for number, transition in enumerate(transitions):
        whole.observe(*transition)
        whole.update()
        if number < 6:
            first.observe(*transition)
            first.update()
    second = make([3, 4])
    second.load_state_dict(first.state_dict())
    for transition in transitions[6:]:
        second.observe(*transition)
        second.update()
    assert torch.equal(whole.networks.rows["actor"], second.networks.rows["actor"])
    assert torch.equal(whole.networks.rows["critic"], second.networks.rows["critic"])


def test_a_copy_learns_as_the_original():
    learner = trained([3, 4], length=10)
    twin = deepcopy(learner)
    for transition in steps([3, 4], SPEC, 8):
        for one in (learner, twin):
            one.observe(*transition)
            one.update()
    for name, rows in learner.networks.rows.items():
        assert torch.equal(rows, twin.networks.rows[name])


@pytest.mark.parametrize(
    ("spec", "changes", "words"),
    [
        (SPEC, {"hidden": [10**6, 10**6]}, "algo.hidden=.* this takes about"),
        (SPEC, {"rollout": 10**9}, "algo.rollout=1000000000 .* this takes about"),
        (SPEC, {"minibatches": 25}, "algo.minibatches=25: expected at most"),
        (SPEC, {"critic": "state"}, "algo.critic=state: expected own or central"),
        (UNEQUAL, {"share": "policy"}, "algo.share=policy: expected none"),
        (UNEQUAL, {"share": "both"}, "algo.share=both: expected none"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(spec, changes, words):
    with pytest.raises(ValueError, match=words):
        make([3], spec, **changes)


@pytest.mark.parametrize("critic", ["own", "central"])
@pytest.mark.parametrize("share", ["none", "both"])
def test_it_solves_coordination_in_every_replica(critic, share):
    seeds = list(range(8))
    keys = {"game": "coordination", "payoff": None, "horizon": 1, "discount": 1.0}
    env = MatrixGame(seeds, CPU, num_envs=COPIES, **keys)
    learner = make(seeds, env.spec, critic=critic, share=share, lr=0.02, lr_final=0.02)
    loop = online(learner, env, learner.policy(True, seeds), env.reset())
    rewards = [next(loop).after.reward.mean((1, 2)) for _ in range(600)]
    first, last = torch.stack(rewards[:20]).mean(0), torch.stack(rewards[-20:]).mean(0)
    assert first.max() < 1.6
    assert last.min() > 1.9


def test_policies_act_by_the_moments_of_now():
    learner = make([3])
    policy = learner.policy(True, [3])
    for transition in steps([3], SPEC, 6):
        policy(transition[0])
        learner.observe(*transition)
        learner.update()
    step = transition[0]._replace(obs=100 * transition[0].obs)
    logits = policy._logits(step)
    assert learner.networks.obs_moments.state_dict()["count"].min() > 0
    torch.testing.assert_close(logits, learner.networks.logits(step.obs).detach())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("share", ["none", "both"])
def test_with_large_minibatches_a_replica_learns_the_same_to_the_last_bit(monkeypatch, share):
    """Members take turns then."""
    monkeypatch.setitem(make.__globals__, "COPIES", 150)
    together = trained([3, 4], length=9, share=share).networks.rows
    for index, seed in enumerate([3, 4]):
        for name, rows in trained([seed], length=9, share=share).networks.rows.items():
            assert torch.equal(together[name][len(rows) * index : len(rows) * (index + 1)], rows)
