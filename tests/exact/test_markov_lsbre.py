"""LSBRE of games with states: hand-worked recursions, known cases, potentials."""

import numpy as np
import pytest

from marlrun.envs.common import payoffs
from marlrun.exact import Unsolvable
from marlrun.exact.lsbre import joint_law
from marlrun.exact.markov_game import Game, correlation, product, returns, shares, visits
from marlrun.exact.markov_lsbre import finite_horizon, stationary


def random_game(*actions: int, num_states: int = 3, seed: int = 0) -> Game:
    generator = np.random.default_rng(seed)
    transitions = generator.dirichlet(np.ones(num_states), (num_states, *actions))
    rewards = generator.normal(0, 1, (len(actions), num_states, *actions))
    return Game(rewards, transitions)


def test_the_last_step_is_the_one_shot_game_of_every_state():
    game = random_game(2, 3)
    (last,) = finite_horizon(game, 1)
    for state in range(3):
        assert last.law[state] == pytest.approx(joint_law(game.rewards[:, state]), rel=1e-12)


def test_two_steps_by_hand():
    """Prisoner's dilemma in state 0, where a_0 = a_1 = 0 leads on to coordination, else to nothing.

    V of coordination is worked out here by its own sums: E[r_i] + H(pi_i).
    """
    dilemma = payoffs.read("prisoners_dilemma", None)
    coordination = payoffs.read("coordination", None)
    rewards = np.stack([dilemma, coordination, np.zeros_like(dilemma)], 1)
    transitions = np.zeros((3, 2, 2, 3))
    transitions[1:, :, :, 2] = 1
    transitions[0, :, :, 2] = 1
    transitions[0, 0, 0] = [0, 1, 0]
    first, last = finite_horizon(Game(rewards, transitions), 2, discount=0.5)
    law = np.array([[0.610285, 0.082592], [0.082592, 0.224532]])
    share = law.sum(1)
    value = (law * coordination[0]).sum() - (share * np.log(share)).sum()
    assert last.values[:, 1] == pytest.approx([value] * 2, abs=1e-5)
    # In state 2 nothing is paid, and both draw uniformly: V = log 2.
    goes_on = np.array([[value, np.log(2)], [np.log(2), np.log(2)]])
    assert first.law[0] == pytest.approx(joint_law(dilemma + 0.5 * goes_on), abs=1e-5)


def test_a_lone_agent_has_the_soft_optimal_policy():
    game = random_game(3)
    values = np.zeros(3)
    for _ in range(2000):
        q = game.rewards[0] + 0.9 * game.transitions @ values
        values = np.log(np.exp(q).sum(1))
    equilibrium = stationary(game, 0.9)
    assert equilibrium.law == pytest.approx(np.exp(q - values[:, None]), rel=1e-9)
    assert equilibrium.values[0] == pytest.approx(values, rel=1e-9)


def test_a_stationary_law_is_that_of_the_first_of_many_steps():
    game = random_game(2, 2)
    assert stationary(game, 0.8).law == pytest.approx(finite_horizon(game, 200, 0.8)[0].law)


def shaped(game: Game, potential: np.ndarray, discount: float) -> Game:
    """Return the game with discount Phi_i(s') - Phi_i(s) added to r_i, its expectation over s'."""
    after = np.moveaxis(game.transitions @ potential.T, -1, 0)
    before = potential.reshape(*potential.shape, *[1] * (game.rewards.ndim - 2))
    return Game(game.rewards + discount * after - before, game.transitions)


def test_shaping_changes_no_stationary_law():
    game = random_game(2, 3)
    potential = np.random.default_rng(1).normal(0, 3, (2, 3))
    law = stationary(game, 0.9).law
    assert stationary(shaped(game, potential, 0.9), 0.9).law == pytest.approx(law, rel=1e-7)
    other = stationary(Game(game.rewards + potential[..., None, None], game.transitions), 0.9)
    assert np.abs(other.law - law).max() > 0.05


def test_shaping_of_an_episode_needs_potentials_of_zero_at_its_ends():
    """State 0 leads to 1 or 2 and these to 3 or 4, where the episode ends: nothing follows."""
    game = random_game(2, 2, num_states=5)
    game.transitions[0, ..., [0, 3, 4]] = 0
    game.transitions[1:, ..., [0, 1, 2]] = 0
    game.transitions[:] /= game.transitions.sum(-1, keepdims=True)
    potential = np.array([[1.0, -2, 2, 0, 0], [3, 1, -1, 0, 0]])
    first, last = (step.law for step in finite_horizon(game, 2, 0.9))
    laws = [step.law for step in finite_horizon(shaped(game, potential, 0.9), 2, 0.9)]
    assert laws[0][0] == pytest.approx(first[0], rel=1e-9)
    assert laws[1][1:3] == pytest.approx(last[1:3], rel=1e-9)
    potential[:, 4] = [2, -3]
    laws = [step.law for step in finite_horizon(shaped(game, potential, 0.9), 2, 0.9)]
    assert np.abs(laws[1][1:3] - last[1:3]).max() > 0.05


def test_shares_products_and_correlation():
    law = np.array([[[0.5, 0], [0, 0.5]], [[0.06, 0.14], [0.24, 0.56]]])
    one, other = shares(law)
    assert one == pytest.approx(np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert other == pytest.approx(np.array([[0.5, 0.5], [0.3, 0.7]]))
    assert product([one, other])[1] == pytest.approx(law[1])
    assert correlation(law) == pytest.approx([np.log(2), 0], abs=1e-12)


def test_visits_and_returns_by_hand():
    """Two states; action 0 stays, 1 goes to state 1, which is never left and pays 1."""
    transitions = np.array([[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]])
    game = Game(np.array([[[0.0, 0], [1, 1]]]), transitions)
    law = np.array([[0.75, 0.25], [0.75, 0.25]])
    # P(state 0) is .5, .375, .28125 before steps 1, 2, 3.
    assert visits(game, law, 3) == pytest.approx([1.15625 / 3, 1 - 1.15625 / 3])
    paid = [0.5, 0.625, 0.71875]
    assert returns(game, law, 3, 0.5) == pytest.approx([paid[0] + paid[1] / 2 + paid[2] / 4])


@pytest.mark.parametrize(
    ("solve", "words"),
    [
        (lambda: stationary(random_game(32, 32), 0.9), "1,024 joint actions"),
        (
            lambda: finite_horizon(Game(np.zeros((2, 99, 25, 25)), np.zeros(0)), 1),
            r"99 states x 625\*\*2 pairs of joint actions, expected at most 20,000,000",
        ),
        (lambda: stationary(random_game(2, 2), 1.0), "has not settled after 10,000 steps"),
    ],
)
def test_what_has_no_law_says_why(solve, words):
    with pytest.raises(Unsolvable, match=words):
        solve()
