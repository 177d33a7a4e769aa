"""The law of logistic best responses: published numbers, potentials, a simulated sweep."""

import numpy as np
import pytest

from marlrun.envs.common import payoffs
from marlrun.exact import Unsolvable
from marlrun.exact.lsbre import joint_law


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("game", "law"),
    [
        ("coordination", [[0.6103, 0.0826], [0.0826, 0.2245]]),
        ("prisoners_dilemma", [[0.0723, 0.1966], [0.1966, 0.5344]]),
    ],
)
def test_known_laws(game, law):
    assert joint_law(payoffs.read(game, None)) == pytest.approx(np.array(law), abs=6e-5)


def test_the_law_of_a_common_payoff_is_its_softmax():
    """A chain of Gibbs draws: the potential is the payoff, whoever's turn is last."""
    common = np.random.default_rng(0).normal(0, 2, (2, 3, 4))
    assert joint_law(np.stack([common] * 3)) == pytest.approx(softmax(common), rel=1e-12)


def test_a_law_that_is_hardly_ever_left_keeps_its_small_numbers():
    """Two equilibria apart by exp(-60): plain linear algebra loses which of them is likelier."""
    common = np.array([[2.0, -60.0], [-60.0, 1.0]])
    assert joint_law(np.stack([common] * 2)) == pytest.approx(softmax(common), rel=1e-12)


def test_without_a_potential_the_last_agents_response_is_exact():
    """Hand-worked of matching pennies: p = P(a_0 = heads) is .5, and agent 1 answers last."""
    law = joint_law(payoffs.read("matching_pennies", None))
    answer = 1 / (1 + np.exp(-2))
    # Agent 0 is paid +-1 for equal pennies, agent 1 for unequal ones.
    expected = 0.5 * np.array([[1 - answer, answer], [answer, 1 - answer]])
    assert law == pytest.approx(expected, rel=1e-12)


def test_a_simulated_sweep_has_the_same_frequencies():
    generator = np.random.default_rng(1)
    table = generator.normal(0, 1, (3, 2, 3, 2))
    actions = np.zeros((100_000, 3), dtype=int)
    chains = np.arange(len(actions))
    for _ in range(60):
        for agent in range(3):
            rows = np.stack(
                [
                    table[(agent, *[a if j == agent else actions[:, j] for j in range(3)])]
                    for a in range(table.shape[agent + 1])
                ],
                -1,
            )
            noisy = rows + generator.gumbel(size=rows.shape)
            actions[chains, agent] = noisy.argmax(-1)
    frequencies = np.zeros(table.shape[1:])
    np.add.at(frequencies, tuple(actions.T), 1 / len(actions))
    assert frequencies == pytest.approx(joint_law(table), abs=0.006)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.zeros((2, 40, 40)), "1,600 joint actions, expected at most 1,000"),
        (np.array([[[1e4, 0.0], [0.0, 1e4]]] * 2), "payoffs are too far apart"),
    ],
)
def test_what_has_no_law_says_why(table, words):
    with pytest.raises(Unsolvable, match=words):
        joint_law(table)
