"""Average rewards, fixed points and gradients against hand, enumeration and finite differences."""

from itertools import product

import numpy as np
import pytest

from marlrun.exact import average_reward as ar
from marlrun.exact import networked_mdp

RANDOM = np.random.default_rng(0)
# From state 0 one goes on with .2, from state 1 with .6, whatever one does; action 1 pays.
TWO_STATES = ar.Game(
    np.repeat(np.array([[[0.8, 0.2]], [[0.6, 0.4]]]), 2, axis=1),
    np.array([[[0.0, 4.0], [8.0, 8.0]]]),
)


@pytest.fixture(scope="module")
def game():
    return networked_mdp.game(num_agents=3, num_states=4, num_actions=3, mdp=1)


@pytest.fixture(scope="module")
def pi():
    return RANDOM.dirichlet(np.ones(3), size=(3, 4))


def test_two_states_by_hand():
    """Law (.75, .25); half action 1 in state 0: pays 2 and 8, J = 3.5.

    Poisson: v0 = 2 - 3.5 + .8 v0 + .2 v1, so v1 - v0 = 7.5, and .75 v0 + .25 v1 = 0.
    """
    values = ar.evaluate(TWO_STATES, np.full((1, 2, 2), 0.5))
    assert values.law == pytest.approx([0.75, 0.25])
    assert values.gains == pytest.approx([3.5])
    assert values.v == pytest.approx([-1.875, 5.625])
    # 0 - 3.5 + .8 * -1.875 + .2 * 5.625 = -3.875; action 1 pays 4 more.
    assert values.q == pytest.approx(np.array([[-3.875, 0.125], [5.625, 5.625]]))


def test_the_first_agents_action_is_the_slowest():
    pi = np.array([[[0.9, 0.1]], [[0.3, 0.7]]])
    assert ar.joint(pi) == pytest.approx(np.array([[0.27, 0.63, 0.03, 0.07]]))


def test_values_solve_bellmans_equation(game, pi):
    values = ar.evaluate(game, pi)
    actions = ar.joint(pi)
    assert values.law @ ar.chain(game, pi) == pytest.approx(values.law)
    assert values.law @ values.v == pytest.approx(0)
    assert (actions * values.q).sum(1) == pytest.approx(values.v)
    visits = values.law[:, None] * actions
    assert (visits * game.rewards).sum((1, 2)) == pytest.approx(values.gains)
    again = game.team_reward - values.gains.mean() + game.transitions @ values.v
    assert again == pytest.approx(values.q)


def test_a_chain_walked_long_has_its_law_and_gain(game, pi):
    law = np.eye(4)[0]
    for _ in range(100):
        law = law @ ar.chain(game, pi)
    assert ar.stationary(ar.chain(game, pi)) == pytest.approx(law)


def test_a_critic_that_can_be_right_is_right(game, pi):
    """Features of all but one (state, action): q up to a constant, which is chosen by the last."""
    values = ar.evaluate(game, pi)
    w = ar.critic_q(game, pi, np.eye(4 * 27)[:, :-1])
    assert np.append(w, 0) == pytest.approx(values.q.ravel() - values.q[-1, -1])
    v = ar.critic_v(game, pi, np.eye(4)[:, :-1])
    assert np.append(v, 0) == pytest.approx(values.v - values.v[-1])
    rewards = ar.reward_model(game, pi, np.eye(4 * 27))
    assert rewards == pytest.approx(game.team_reward.ravel())


def test_td_on_average_rests_at_the_fixed_point(game, pi):
    """Expected TD(0) of algorithm 1, all rows written out: P((s, a) -> (s', a'))."""
    features = RANDOM.random((4 * 27, 5))
    actions = ar.joint(pi)
    after = game.transitions.reshape(-1, 4)[:, :, None] * actions
    transitions, reward = after.reshape(108, 108), game.team_reward.ravel()
    visits = ar.stationary(transitions)
    assert visits == pytest.approx((ar.evaluate(game, pi).law[:, None] * actions).ravel())
    gain, w = visits @ reward, np.zeros(5)
    for _ in range(20_000):
        delta = reward - gain + transitions @ features @ w - features @ w
        w += 0.5 * features.T @ (visits * delta)
    assert ar.critic_q(game, pi, features) == pytest.approx(w, rel=1e-6, abs=1e-8)


def test_state_critic_and_reward_model_are_projections(game, pi):
    """What they leave over is orthogonal to their features, under the law of the policies."""
    features, rows = RANDOM.random((4, 2)), RANDOM.random((108, 5))
    values, chain = ar.evaluate(game, pi), ar.chain(game, pi)
    v = features @ ar.critic_v(game, pi, features)
    reward = (ar.joint(pi) * game.team_reward).sum(1)
    delta = reward - values.gains.mean() + chain @ v - v
    assert features.T @ (values.law * delta) == pytest.approx(0, abs=1e-12)
    left = game.team_reward.ravel() - rows @ ar.reward_model(game, pi, rows)
    visits = (values.law[:, None] * ar.joint(pi)).ravel()
    assert rows.T @ (visits * left) == pytest.approx(0, abs=1e-12)


def test_features_that_hold_a_constant_are_refused():
    with pytest.raises(np.linalg.LinAlgError):
        ar.critic_v(TWO_STATES, np.full((1, 2, 2), 0.5), np.ones((2, 1)))


def test_the_gradient_is_that_of_finite_differences(game):
    features, theta = RANDOM.random((3, 4, 3, 2)), RANDOM.normal(size=(3, 2))

    def team(theta):
        return ar.evaluate(game, ar.softmax(features, theta)).gains.mean()

    pi = ar.softmax(features, theta)
    assert pi.sum(-1) == pytest.approx(1)
    gradient = ar.policy_gradient(game, pi, features, ar.evaluate(game, pi).q)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = 1e-5
        slope = (team(theta + step) - team(theta - step)) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_a_baseline_changes_no_gradient(game, pi):
    features, q = RANDOM.random((3, 4, 3, 2)), RANDOM.random((4, 27))
    one = ar.policy_gradient(game, pi, features, q)
    assert ar.policy_gradient(game, pi, features, q + [[1], [2], [3], [4]]) == pytest.approx(one)


def test_the_optimum_is_the_best_of_all_choices(game):
    transitions, reward = game.transitions[:, :5], game.team_reward[:, :5]
    states = np.arange(4)
    gains = {
        choice: ar.differential(transitions[states, choice], reward[states, choice])[0]
        for choice in product(range(5), repeat=4)
    }
    gain, choice = ar.optimum(transitions, reward)
    assert gain == pytest.approx(max(gains.values()))
    assert gains[tuple(choice)] == gain


def test_a_choice_as_good_is_kept():
    transitions, reward = np.full((2, 3, 2), 0.5), np.array([[1.0, 1, 0], [2, 2, 2]])
    gain, choice = ar.optimum(transitions, reward, np.array([1, 2]))
    assert gain == pytest.approx(1.5) and choice.tolist() == [1, 2]
    assert ar.optimum(transitions, reward, np.array([2, 1]))[1].tolist() == [0, 1]
