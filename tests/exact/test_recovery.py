"""What counts as recovered: constants and what others decide do not, a wrong reward does."""

import numpy as np
import pytest

from marlrun.exact import reward_grid
from marlrun.exact.markov_game import divergence, shares, visits
from marlrun.exact.recovery import identifiable, recovery

KEYS = {"size": 2, "maps": 3, "scale": 2.0, "influence": 0.5, "penalty": 0.0, "discount": 0.9}
GAME, LAW = reward_grid.game(**KEYS), reward_grid.expert(**KEYS).law
TRUTH = GAME.rewards[..., 0]
"""[N, S, A]: the rewards, the same for all actions."""


def test_the_truth_is_recovered_and_so_is_what_cannot_be_told_from_it():
    others = np.random.default_rng(0).normal(0, 5, (2, 4))
    x, y = np.divmod(np.arange(16), 4)
    unseen = np.stack([others[0, y], others[1, x]])[..., None]
    for g in (TRUTH, TRUTH + 7, TRUTH + unseen):
        quality = recovery(GAME, LAW, g, 0.9, 10)
        assert quality.divergence == pytest.approx(0, abs=1e-9)
        assert quality.pearson == pytest.approx(1)


def test_shaping_by_the_own_action_leaves_the_policies():
    """g(s, a) = r(s) + .9 Phi(x') - Phi(x), x' the own position that the action leads to."""
    potential = np.array([0.0, 2, -1, 3])
    following = GAME.transitions[:, :, 0].argmax(-1) // 4
    shaped = TRUTH[0] + 0.9 * potential[following] - potential[np.arange(16) // 4][:, None]
    quality = recovery(GAME, LAW, np.stack([shaped, TRUTH[1]]), 0.9, 10)
    assert quality.divergence == pytest.approx(0, abs=1e-9)
    assert quality.pearson[0] < 0.9


def test_no_reward_leaves_uniform_policies_by_hand():
    quality = recovery(GAME, LAW, np.zeros_like(TRUTH), 0.9, 10)
    weights = visits(GAME, LAW, 10)
    for agent, policy in enumerate(shares(LAW)):
        expected = weights @ divergence(policy, np.full_like(policy, 0.2))
        assert quality.divergence[agent] == pytest.approx(expected) and expected > 0.1
        assert quality.pearson[agent] == 0


def test_a_reversed_reward_is_found_out():
    quality = recovery(GAME, LAW, -TRUTH, 0.9, 10)
    assert quality.pearson == pytest.approx(-1)
    assert quality.divergence.min() > 0.5


def test_what_can_be_identified_by_hand():
    """Positions of agent 0 are rows: each column loses its mean; of agent 1, each row."""
    reward = np.array([1.0, 2, 5, 4])
    assert identifiable(reward, 0) == pytest.approx([-2, -1, 2, 1])
    assert identifiable(reward, 1) == pytest.approx([-0.5, 0.5, 0.5, -0.5])
