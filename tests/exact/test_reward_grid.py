"""reward_grid solved: the expert against an own-map soft optimum, the keys, the tables."""

import numpy as np
import pytest

from marlrun.exact import reward_grid
from marlrun.exact.hashing import uniform
from marlrun.exact.markov_game import returns, shares
from marlrun.exact.walks import MOVES, landings

KEYS = {"size": 2, "maps": 1, "scale": 2.0, "influence": 0.5, "penalty": 0.0, "discount": 0.9}


def test_the_expert_is_soft_optimal_for_its_own_map():
    """Without a penalty agent i's policy is that of a lone agent that is paid by m_i."""
    policies = shares(reward_grid.expert(**KEYS).law)
    maps = 2.0 * (2 * uniform(1, "reward_grid/maps", 2, 2, 4) - 1)
    cells = landings(2, MOVES, walls=True)
    for agent, policy in enumerate(policies):
        values = np.zeros(4)
        for _ in range(600):
            q = maps[agent, 0] + 0.9 * values[cells]
            values = np.logaddexp.reduce(q)
        alone = np.exp(q - values).T
        for cell_0, cell_1 in np.ndindex(4, 4):
            own_cell = (cell_0, cell_1)[agent]
            assert policy[cell_0 * 4 + cell_1] == pytest.approx(alone[own_cell], rel=1e-6)


def test_what_is_paid_by_hand():
    game = reward_grid.game(**KEYS | {"penalty": 3.0})
    (own_0, of_1), (own_1, of_0) = 2.0 * (2 * uniform(1, "reward_grid/maps", 2, 2, 4) - 1)
    rewards = game.rewards[..., 0, 0].reshape(2, 4, 4)
    assert rewards[:, 1, 2] == pytest.approx([own_0[1] + of_1[2] / 2, own_1[2] + of_0[1] / 2])
    assert rewards[:, 3, 3] == pytest.approx(
        [own_0[3] + of_1[3] / 2 - 3, own_1[3] + of_0[3] / 2 - 3]
    )


def test_the_values_of_an_episode():
    solved = reward_grid.solve(**KEYS, horizon=5)
    assert solved["random"] < solved["expert"] < solved["optimum"]
    game = reward_grid.game(**KEYS)
    uniform_law = np.full((16, 5, 5), 1 / 25)
    assert returns(game, uniform_law, 5, 0.9).mean() == pytest.approx(solved["random"])
    assert reward_grid.solve(**KEYS, horizon=1)["optimum"] == pytest.approx(
        game.rewards[..., 0, 0].mean()
    )


def test_the_optimum_is_that_of_a_team():
    game = reward_grid.game(**KEYS)
    pay = game.rewards[..., 0, 0].mean(0)
    nearest = game.transitions.argmax(-1)
    values = np.zeros(16)
    for _ in range(5):
        values = pay + 0.9 * values[nearest].max((1, 2))
    assert reward_grid.solve(**KEYS, horizon=5)["optimum"] == pytest.approx(values.mean())


def test_details_are_the_policies_and_their_correlation():
    told = reward_grid.details(**KEYS)
    assert np.shape(told["policies"]) == (2, 4, 4, 5)
    assert np.sum(told["policies"], -1) == pytest.approx(1, abs=1e-5)
    assert told["correlation"] == pytest.approx(0, abs=1e-12)
    assert reward_grid.details(**KEYS | {"penalty": 2.0})["correlation"] > 0.01


@pytest.mark.parametrize("change", [{"discount": 1.0}, {"scale": 1000.0}])
def test_without_an_expert_there_still_is_an_optimum(change):
    assert reward_grid.solve(**KEYS | change, horizon=5).keys() == {"optimum", "random"}
    assert reward_grid.details(**KEYS | change) == {"policies": None, "correlation": None}


def test_without_walls_a_step_to_the_north_leads_to_the_south():
    transitions = reward_grid.game(**KEYS, walls=False).transitions
    # Cells are 0, 1 below and 2, 3 above; action 0 is north, 4 is to stay.
    assert transitions[3 * 4 + 2, 0, 4].argmax() == 1 * 4 + 2
    assert reward_grid.game(**KEYS).transitions[3 * 4 + 2, 0, 4].argmax() == 3 * 4 + 2
