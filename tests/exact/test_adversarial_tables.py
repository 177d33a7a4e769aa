"""MA-AIRL in exact expectation: correlated laws, rewards of the grid, where the method errs."""

from functools import lru_cache

import numpy as np
import pytest

from marlrun.envs.common import payoffs
from marlrun.exact import adversarial, reward_grid
from marlrun.exact.lsbre import joint_law
from marlrun.exact.markov_game import correlation, visits
from marlrun.exact.recovery import identifiable, recovery

KEYS = {"size": 3, "maps": 0, "scale": 2.0, "influence": 0.5, "discount": 0.9}


@pytest.mark.parametrize("game", ["coordination", "prisoners_dilemma"])
def test_discriminators_that_see_the_others_recover_a_correlated_law(game):
    """f becomes log p(a_i | a_-i), which is r_i less a function of the others' actions."""
    table = payoffs.read(game, None)
    law = joint_law(table)
    learned = adversarial.one_shot(law, 400)
    assert learned.law == pytest.approx(law, abs=1e-6)
    for agent in range(2):
        assert learned.f[agent] == pytest.approx(
            np.log(law / law.sum(agent, keepdims=True)), abs=1e-5
        )
        differences = learned.f[agent] - table[agent]
        assert np.ptp(differences, axis=agent) == pytest.approx(0, abs=1e-5)


def test_agents_that_draw_independently_cannot_play_coordination():
    """By hand: .6103 log(.6103 / .4801) - 2 x .0826 log(.2128 / .0826) + .2245 log(.2245 / .0943)."""
    law = joint_law(payoffs.read("coordination", None))
    assert correlation(law[None]) == pytest.approx([0.1849], abs=2e-4)


def by_action(g: np.ndarray) -> np.ndarray:
    """Return rewards [N, S] of states as those of states and actions [N, S, 5]."""
    return np.repeat(g[..., None], 5, -1)


@lru_cache
def learned(penalty: float):
    """Return the game, its expert's law, and what was learned from it."""
    keys = KEYS | {"penalty": penalty}
    game, law = reward_grid.game(**keys), reward_grid.expert(**keys).law
    return game, law, adversarial.markov(game, law, 0.9, 10, 1000)


def test_where_the_law_is_a_product_the_reward_of_the_grid_is_recovered():
    game, law, result = learned(0.0)
    quality = recovery(game, law, by_action(result.g), 0.9, 10)
    assert quality.divergence.max() < 1e-3 and quality.pearson.min() > 0.999
    for agent, reward in enumerate(game.rewards[..., 0, 0]):
        truth, g = (identifiable(each, agent) for each in (reward, result.g[agent]))
        assert g == pytest.approx(truth, abs=0.25)
        # What the other's cell pays moves nobody, and is not there.
        assert np.std(result.g[agent] - g) < 0.2 < 0.4 < np.std(reward - truth)


def test_where_agents_avoid_each_other_the_method_errs():
    """f = log q asks for a potential that follows nothing that the other agent happens to do."""
    divergences = []
    for penalty in (0.0, 1.0, 4.0):
        game, law, result = learned(penalty)
        divergences.append(recovery(game, law, by_action(result.g), 0.9, 10).divergence.max())
    assert divergences[0] < 1e-4 < 1e-3 < divergences[1] < 0.01 < 0.05 < divergences[2]


@pytest.mark.parametrize(
    ("penalty", "least", "most"), [(0.0, -1e-12, 1e-12), (1.0, 0.006, 0.008), (4.0, 0.04, 0.05)]
)
def test_the_grids_law_is_a_product_without_a_penalty_alone(penalty, least, most):
    game, law, _ = learned(penalty)
    assert least <= visits(game, law, 10) @ correlation(law) <= most
