import torch

from marlrun.algos.random import Random
from marlrun.types import Spec, Step

SPEC = Spec(2, ("a", "b"), (1, 1), (2, 5), horizon=3, discount=1.0)


def play(seeds, explore, num_envs=50, ticks=40):
    learner = Random(SPEC, seeds, torch.device("cpu"), num_envs=num_envs)
    policy = learner.policy(explore, seeds)
    no = torch.zeros(len(seeds), num_envs, dtype=torch.bool)
    reward = torch.zeros(len(seeds), num_envs, 2)
    step = Step(no, reward[..., None], reward, no, no)
    return torch.stack([policy(step) for _ in range(ticks)])


def test_every_action_an_agent_has_is_equally_likely():
    actions = play([0], explore=True).flatten(0, 2)
    for agent, num_actions in enumerate(SPEC.num_actions):
        counts = torch.bincount(actions[:, agent], minlength=5)[:num_actions]
        assert counts.sum() == 2000
        # Five standard deviations of a binomial count.
        chance = 1 / num_actions
        assert (counts - 2000 * chance).abs().max() < 5 * (2000 * chance * (1 - chance)) ** 0.5


def test_a_replica_draws_the_same_alone_and_in_company():
    company = play([4, 5, 6], explore=True)
    assert torch.equal(play([5], explore=True)[:, 0], company[:, 1])
    assert not torch.equal(company[:, 0], company[:, 1])


def test_a_policy_draws_by_the_seeds_it_is_given():
    learner = Random(SPEC, [0], torch.device("cpu"), num_envs=1)
    step = Step(*(torch.zeros(1, 50, 2, dtype=torch.bool) for _ in range(5)))
    one, two, again = (learner.policy(explore=False, seeds=[seed])(step) for seed in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def test_what_is_allowed_is_equally_likely():
    allowed = torch.tensor([[1, 0, 1, 1, 1], [0, 1, 1, 0, 1]]).bool().expand(1, 3000, 2, 5)
    learner = Random(SPEC, [0], torch.device("cpu"), num_envs=3000)
    no, reward = torch.zeros(1, 3000, dtype=torch.bool), torch.zeros(1, 3000, 2)
    step = Step(no, reward[..., None], reward, no, no, action_mask=allowed)
    actions = learner.policy(explore=True, seeds=[0])(step)[0]
    assert (actions[:, 0] == 0).all(), "agent a has two actions"
    counts = actions[:, 1].bincount(minlength=5)
    assert counts[0] == counts[3] == 0
    assert (counts[[1, 2, 4]] - 1000).abs().max() < 5 * (3000 * 2 / 9) ** 0.5
