"""Correlations, returns and distances of rewards, worked by hand."""

import pytest
import torch

from marlrun.ops.agreement import (
    balanced_actions,
    canonical,
    num_samples,
    pearson,
    pearson_distance,
    returns_to_go,
    spearman,
)

X = torch.tensor([[1.0, 2, 3, 4], [1, 1, 2, 2]])


def test_pearson_by_hand():
    """x - mean = (-1.5, -.5, .5, 1.5), y - mean = (-1.5, .5, -.5, 1.5): 4 / 5; and 2 / 2."""
    y = torch.tensor([[0.0, 2, 1, 3], [5, 5, 7, 7]])
    torch.testing.assert_close(pearson(X, y), torch.tensor([0.8, 1.0]).double())
    torch.testing.assert_close(pearson(X, -3 * y + 1), torch.tensor([-0.8, -1.0]).double())


def test_spearman_is_pearson_of_ranks_and_ties_share_theirs():
    """Ranks 1 2 3 4 and 1 3 2 4: 4 / 5. Ranks 1.5 1.5 3.5 3.5 and 1 2 3.5 3.5: 4 / sqrt(4 * 4.5)."""
    y = torch.tensor([[-9.0, 100, 0, 1e6], [1, 2, 3, 3]])
    torch.testing.assert_close(spearman(X, y), torch.tensor([0.8, 4 / 18**0.5]).double())


def test_a_constant_reward_has_no_correlation_and_a_middling_distance():
    constant = torch.full((2, 4), -1.0)
    for correlation in (pearson, spearman):
        assert correlation(X, constant).tolist() == [0, 0]
        assert correlation(constant, X).tolist() == [0, 0]
    distances = pearson_distance(torch.tensor([1.0, 0.0, -1.0]))
    assert distances.tolist() == pytest.approx([0, 0.5**0.5, 1])


def test_returns_to_go_by_hand():
    """2 + .5 (3 + .5 * 4) = 4.5."""
    reward = torch.tensor([2.0, 3, 4]).view(1, 1, 3, 1)
    assert returns_to_go(reward, 0.5).flatten().tolist() == [4.5, 5, 4]
    assert reward.flatten().tolist() == [2, 3, 4]


def test_returns_of_a_constant_agree_where_episodes_end_early():
    """The true reward nears 0 as the episode nears its end, of which the constant knows the time."""
    time = torch.arange(20)
    ends = torch.arange(5, 20)[:, None]
    acted = (time <= ends).view(1, 15, 20, 1)
    true = -(ends - time).clamp(min=0).view(1, 15, 20, 1).float()
    constant = -torch.ones_like(true)
    returns = [returns_to_go(reward * acted, 0.95)[acted] for reward in (true, constant)]
    assert pearson(*returns) > 0.9 and spearman(*returns) > 0.99
    assert pearson(true[acted], constant[acted]) == 0


REWARD = torch.tensor([[[1.0, 4.0], [2.0, 8.0]], [[3.0, 5.0], [0.0, 6.0]]])
"""r(s, a, s') of two states and two actions."""


def table(reward):
    """Return a table [s, a, s'] as a function of observations, which are the states."""

    def of(obs, action, next_obs):
        return reward[obs[..., 0].long(), action, next_obs[..., 0].long()]

    return of


def transitions():
    """Return all eight transitions of one agent, [1, 8, 1, ..]."""
    parts = torch.cartesian_prod(*[torch.arange(2)] * 3).unbind(1)
    state, action, following = (part.view(1, 8, 1) for part in parts)
    return state.unsqueeze(-1).float(), action, following.unsqueeze(-1).float()


def test_the_canonical_reward_by_hand():
    """From samples (0, 0, 1) and (1, 1, 0) of (S, A, S'), gamma .5.

    E r(0, A, S') = (4 + 2) / 2 = 3, E r(1, A, S') = (5 + 0) / 2 = 2.5, E r(S, A, S') = (4 + 0) / 2:
    C(0, 1, 1) = 8 + .5 * 2.5 - 3 - .5 * 2 = 5.25.
    """
    samples = tuple(part[:, [1, 6]] for part in transitions())
    shaped = canonical(table(REWARD), *transitions(), samples, 0.5)
    assert shaped[0, 3].item() == pytest.approx(5.25)


def test_the_canonical_reward_does_not_know_of_shaping():
    """r + gamma Phi(s') - Phi(s) differs from r by a constant, from whatever samples."""
    potential = torch.tensor([3.0, -2.0])
    shaped = REWARD + 0.9 * potential - potential[:, None, None]
    samples = tuple(part[:, [1, 6, 3]] for part in transitions())
    plain, other = (
        canonical(table(reward), *transitions(), samples, 0.9) for reward in (REWARD, shaped)
    )
    difference = (other - plain).flatten()
    torch.testing.assert_close(difference, difference[:1].expand(8))
    assert not torch.allclose(table(shaped)(*transitions()), table(REWARD)(*transitions()))


def test_rewards_of_states_have_simple_canonical_forms():
    """g(s) becomes gamma g(s') and r(a, s') itself, up to constants."""
    g, of_next = torch.tensor([1.0, 5.0]), torch.tensor([[2.0, 3.0], [7.0, -1.0]])
    state, action, following = transitions()
    samples = tuple(part[:, [0, 5, 6]] for part in transitions())
    for reward, expected in (
        (g[:, None, None].expand(2, 2, 2), 0.9 * g[following[..., 0].long()]),
        (of_next.expand(2, 2, 2), of_next[action, following[..., 0].long()]),
    ):
        difference = canonical(table(reward), *transitions(), samples, 0.9) - expected
        torch.testing.assert_close(difference.flatten(), difference[0, 0].expand(8))


def test_every_action_is_sampled_equally_often():
    assert num_samples((5, 5, 5)) == 5 and num_samples((2, 2)) == 6 and num_samples((3, 5)) == 15
    chance = torch.rand(4, 15, 2, generator=torch.Generator().manual_seed(0))
    actions = balanced_actions(chance, (3, 5))
    for agent, count in enumerate((3, 5)):
        assert (
            actions[..., agent].sort(1).values.tolist()
            == [sorted([*range(count)] * (15 // count))] * 4
        )
