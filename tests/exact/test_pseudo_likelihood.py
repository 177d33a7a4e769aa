"""Log-odds of known games, from their exact laws and from samples."""

import numpy as np
import pytest

from marlrun.envs.common import payoffs
from marlrun.exact.lsbre import joint_law
from marlrun.exact.pseudo_likelihood import of_counts, of_law


def odds(payoff: np.ndarray, agent: int) -> np.ndarray:
    return payoff - payoff.take([0], agent)


@pytest.mark.parametrize("game", ["coordination", "prisoners_dilemma"])
@pytest.mark.parametrize("agent", [0, 1])
def test_exact_laws_of_potential_games_give_the_payoffs_log_odds(game, agent):
    table = payoffs.read(game, None)
    assert of_law(joint_law(table), agent) == pytest.approx(odds(table[agent], agent), abs=1e-12)


def test_a_function_of_the_others_actions_cannot_be_seen():
    table = np.random.default_rng(0).normal(0, 1, (1, 3, 2))[[0, 0]]
    changed = table + np.array([[[0.0, 5]] * 3, [[1.0], [2], [3]] * np.ones((1, 2))])
    assert joint_law(changed) == pytest.approx(joint_law(table), rel=1e-12)
    for agent in range(2):
        found = of_law(joint_law(changed), agent)
        assert found == pytest.approx(odds(table[agent], agent), abs=1e-12)


def test_counts_by_hand():
    found = of_counts(np.array([[20, 5], [10, 0]]), 0)
    assert found.estimate[:, 0] == pytest.approx([0, np.log(0.5)])
    assert found.error[:, 0] == pytest.approx([0, np.sqrt(1 / 20 + 1 / 10)])
    assert found.estimate[1, 1] == -np.inf and found.error[1, 1] == np.inf


@pytest.mark.parametrize("game", ["coordination", "prisoners_dilemma"])
def test_samples_give_the_log_odds_within_their_errors(game):
    """2,000 samples of 1,000 actions: errors have the size that they say, and no bias."""
    table = payoffs.read(game, None)
    law = joint_law(table)
    samples = np.random.default_rng(0).multinomial(1_000, law.ravel(), 2_000)
    for agent in range(2):
        truth = odds(table[agent], agent)
        estimates = [of_counts(counts.reshape(2, 2), agent) for counts in samples]
        deviations = [
            (each.estimate - truth)[truth != 0] / each.error[truth != 0] for each in estimates
        ]
        assert np.mean(deviations, 0) == pytest.approx(0, abs=0.1)
        assert np.std(deviations, 0) == pytest.approx(1, abs=0.06)


def test_errors_of_one_sample_of_coordination():
    law = joint_law(payoffs.read("coordination", None))
    counts = np.random.default_rng(3).multinomial(20_000, law.ravel()).reshape(2, 2)
    found = of_counts(counts, 1)
    assert found.estimate[:, 1] == pytest.approx([-2, 1], abs=0.12)
    assert 0.02 < found.error[:, 1].max() < 0.04
