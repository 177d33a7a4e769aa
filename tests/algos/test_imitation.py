"""The learner around a teacher: cloning, warm-up, controls, replicas and resuming."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from algos.demonstrated import CPU, changed, demonstrations, tensors, train
from algos.test_ppo import SPEC, WITH_STATE
from algos.test_ppo import steps as transitions

from marlrun.algos.imitation.cloning import Cloning
from marlrun.algos.imitation.learner import control, demonstrated
from marlrun.algos.ma_airl import ma_airl
from marlrun.algos.ma_gail import ma_gail
from marlrun.types import Change, Choice

VARIANTS = {
    "airl": {},
    "airl, own reward": {"reward": "g", "discriminator": {"inputs": "state_action"}},
    "airl of all": {"discriminator": {"view": "all", "inputs": "state_action", "normalise": True}},
    "gail": {"make": ma_gail, "reward": "log_d", "replay": {"share": 0.0}},
    "gail, logit": {"make": ma_gail, "reward": "logit", "replay": {"share": 1.0}},
    "cloned": {"cloning": {"updates": 5}, "warmup": 1, "ppo": {"normalise_observations": True}},
    "constant": {"reward": "constant"},
    "nearest": {"reward": "nearest"},
}


def make_learner(seeds, *, make=ma_airl, reward="f_minus_logq", spec=SPEC, **changes):
    return make(spec, list(seeds), CPU, num_envs=6, reward=reward, settings=changed(**changes))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_replica_learns_the_same_alone_and_in_company(changes):
    together = make_learner([3, 4], **changes)
    of_all = train(together, [3, 4])
    for index, seed in enumerate([3, 4]):
        alone = make_learner([seed], **changes)
        for metrics, expected in zip(train(alone, [seed]), of_all, strict=True):
            for tag, value in metrics.items():
                assert torch.equal(value[0], expected[tag][index]), tag
        rows = alone.ppo.networks.rows["actor"]
        of_replica = together.ppo.networks.rows["actor"].chunk(2)[index]
        assert torch.equal(rows, of_replica)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_goes_on_from_its_state_amid_a_rollout(changes):
    whole, first, second = (make_learner([3, 4], **changes) for _ in range(3))
    train(whole, [3, 4])
    train(first, [3, 4], length=11)
    second.load_state_dict(deepcopy(first.state_dict()))
    train(second, [3, 4], skip=10)
    parts, expected = tensors(second.state_dict()), tensors(whole.state_dict())
    assert parts.keys() == expected.keys() and len(parts) > 10
    for name, part in parts.items():
        assert torch.equal(part, expected[name]), name


def test_policies_stay_while_the_others_warm_up():
    learner = make_learner([3], warmup=2)
    rows = learner.ppo.networks.rows
    untrained = {name: part.detach().clone() for name, part in rows.items()}
    g = learner.teacher.discriminator.rows["g"].detach().clone()
    train(learner, [3], length=10)
    assert learner.rounds == 2
    assert torch.equal(rows["actor"], untrained["actor"])
    assert not torch.equal(rows["critic"], untrained["critic"])
    assert not torch.equal(learner.teacher.discriminator.rows["g"], g)
    train(learner, [3], length=14, skip=9)
    assert not torch.equal(rows["actor"], untrained["actor"])


def test_a_clone_does_what_the_expert_does_before_it_plays():
    """The expert's agents act by their first feature, and by its opposite."""

    def policy(obs):
        return torch.stack(((obs[:, 0, 0] > 0.5).long(), (obs[:, 1, 0] < 0.5).long()), 1)

    shown = demonstrations(episodes=100, policy=policy)
    learner = make_learner(
        [3], demonstrations=shown, cloning={"updates": 300, "batch": 50, "lr": 0.03}, warmup=9
    )
    before, action, after = next(iter(transitions([3], SPEC, 2)))
    learner.observe(before, action, after)
    obs = torch.rand(1, 500, 2, 3)
    chosen = learner.ppo.networks.logits(obs).argmax(-1)[0]
    assert (chosen == policy(obs[0])).float().mean() > 0.95


def test_the_loss_of_cloning_is_the_entropy_of_what_was_shown():
    """Observations are all alike, and the expert takes action 1 in three of four steps."""
    learner = make_learner([3])
    expert = learner.expert._replace(
        obs=torch.zeros(1, 8, 2, 3),
        next_obs=torch.zeros(1, 8, 2, 3),
        action=torch.tensor([1, 1, 1, 0, 1, 1, 1, 0]).view(1, 8, 1).expand(1, 8, 2),
        terminated=torch.zeros(1, 8, 2, dtype=torch.bool),
        counts=torch.ones(1, 8, 2),
    )
    cloning = Cloning(learner.ppo.networks, expert, [3], CPU, 400, None, key="batch")
    losses = [cloning.update(0.05) for _ in range(200)]
    torch.testing.assert_close(losses[0], torch.full((1, 2), 0.6931), atol=0.05, rtol=0)
    torch.testing.assert_close(losses[-1], torch.full((1, 2), 0.5623), atol=0.06, rtol=0)
    uniform = learner.ppo.networks.log_prob(expert.obs, expert.action).exp()
    torch.testing.assert_close(uniform[0, 0], torch.full((2,), 0.75), atol=0.06, rtol=0)
    of_all = cloning.loss(expert).mean(1)
    torch.testing.assert_close(of_all, torch.full((1, 2), 0.5623), atol=0.02, rtol=0)


@pytest.mark.parametrize("constant", [-1.0, 1.0])
def test_a_constant_is_paid_for_every_step(constant):
    learner = make_learner([3], reward="constant", constant=constant)
    (metrics, *_) = train(learner, [3])
    assert metrics["irl/reward_mean"].tolist() == [[constant, constant]]
    assert not any(tag.startswith("disc/") for tag in metrics)


def test_the_nearest_is_paid_by_what_was_demonstrated():
    shown = demonstrations(episodes=1, length=1)
    learner = make_learner([3], reward="nearest", demonstrations=shown)
    obs = learner.expert.obs
    play = learner.expert._replace(obs=torch.cat((obs, obs + 2.0), 1))
    play = play._replace(action=play.action.expand(1, 2, 2), counts=torch.ones(1, 2, 2))
    expected = torch.tensor([[[0.0, 0.0], [-(12**0.5), -(12**0.5)]]])
    torch.testing.assert_close(learner.teacher.pay(play), expected)


def test_clones_learn_from_what_symmetries_show():
    swapped = Change((1, 0, 2), (1, 1, 1), (1, 0))
    choice = Choice("landmarks", ((swapped, swapped),), joint=True, alone=True)
    spec, cloning = replace(SPEC, symmetries=(choice,)), {"updates": 1, "batch": 7}
    batches = []
    for symmetries in ("none", "permutations"):
        learner = make_learner([3], spec=spec, symmetries=symmetries, cloning=cloning)
        learner._cloning._descend = lambda lr, *batch: [batches.append(batch)]
        learner._clone()
    plain, shown = batches
    assert torch.equal(shown[0], plain[0][..., [1, 0, 2]]) and torch.equal(shown[1], 1 - plain[1])


def test_a_teacher_is_told_how_much_of_training_is_done():
    """Rollouts of 4 steps of 6 copies each."""
    learner = make_learner([3], ppo={"rollout": 4, "anneal_steps": 96})
    told = []
    learner.teacher.learn = lambda play, progress: told.append(progress) or {}
    train(learner, [3])
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_nobody_is_paid_after_leaving():
    learner = make_learner([3], reward="constant")
    for before, action, after in transitions([3], SPEC, 5):
        alive = torch.tensor([True, False]).expand(1, 6, 2)
        learner.observe(before._replace(alive=alive), action, after._replace(alive=alive))
        metrics = learner.update()
    assert metrics["irl/reward_mean"].tolist() == [[-1.0, 0.0]]


def test_what_who_has_left_saw_is_no_demonstration():
    expert = demonstrated(changed(demonstrations=demonstrations(episodes=1, length=3)), CPU)
    left = torch.tensor([[[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    obs = torch.where(left.bool().unsqueeze(-1), expert.obs, 7.0)
    teacher = control("nearest", SPEC, [3], expert._replace(obs=obs, counts=left), changed())
    play = expert._replace(obs=torch.full_like(obs, 7.0))
    shown = teacher.recovered.function.state_dict()["observations"]
    assert torch.equal(shown[0], expert.obs[0, :, 0])
    assert torch.equal(shown[1], expert.obs[0, [0, 0, 0], 1])
    assert teacher.pay(play)[..., 1].max() < -5


def test_only_so_many_episodes_are_learned_from():
    learner = make_learner([3], demonstrations_episodes=2)
    assert learner.expert.obs.shape == (1, 6, 2, 3)
    assert learner.expert.terminated[0, :, 0].tolist() == [False, False, True] + 3 * [False]


def test_the_reward_belongs_to_what_was_seen_before_a_step():
    learner = make_learner([3], make=ma_gail, reward="logit")
    before, action, after = next(iter(transitions([3], SPEC, 2)))
    reward = learner.reward(before, action, after)
    other = after._replace(obs=after.obs + 1)
    assert reward.shape == action.shape
    assert torch.equal(reward, learner.reward(before, action, other))
    assert not torch.equal(reward, learner.reward(other, action, after))


@pytest.mark.usefixtures("one_thread")
def test_with_large_batches_a_replica_learns_the_same_to_the_last_bit():
    """Members take turns then, and symmetries show what is learned from."""
    swapped = Change((1, 0, 2), (1, -1, 1), (1, 0))
    same = Change((0, 1, 2), (1, 1, 1), (0, 1))
    choice = Choice("landmarks", ((same, same), (swapped, same)), joint=True, alone=True)
    spec = replace(SPEC, symmetries=(choice,))
    changes = {
        "spec": spec,
        "symmetries": "permutations",
        "discriminator": {"batch": 301, "steps": 2, "activation": "relu"},
        "cloning": {"updates": 2, "batch": 501},
    }
    together = make_learner([3, 4], **changes)
    train(together, [3, 4])
    rows = together.teacher.discriminator.rows | together.ppo.networks.rows
    for index, seed in enumerate([3, 4]):
        alone = make_learner([seed], **changes)
        train(alone, [seed])
        for name, part in (alone.teacher.discriminator.rows | alone.ppo.networks.rows).items():
            assert torch.equal(part, rows[name].chunk(2)[index]), name


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"discriminator": {"batch": 10**11}}, "algo.discriminator.steps=3 .*batch=100000000000"),
        ({"cloning": {"updates": 1, "batch": 10**11}}, "algo.cloning.batch=100000000000"),
    ],
)
def test_batches_that_the_memory_cannot_hold_are_refused_by_their_key(changes, key):
    with pytest.raises(ValueError, match=f"{key} replicas=1: this takes about"):
        make_learner([3], **changes)


def test_critics_may_see_the_state():
    learner = make_learner([3], spec=WITH_STATE, ppo={"critic": "state"})
    metrics = train(learner, [3], WITH_STATE)
    assert len(metrics) == 4 and all(x.isfinite().all() for x in metrics[-1].values())


def test_it_says_whose_observations_are_all_that_discriminators_see():
    seen = {name: make_learner([3], **changes).judged_view for name, changes in VARIANTS.items()}
    blind = {"airl", "gail", "gail, logit", "cloned"}  # the settings of these tests see no actions
    assert seen == {name: "own" if name in blind else None for name in VARIANTS}
    assert make_learner([3], discriminator={"view": "all"}).judged_view == "all"
