"""Finite games that never end: average rewards, and what average-reward critics converge to.

Policies are local: pi [N, S, A] holds every agent's probabilities of actions in every state. All
chains are assumed to have one recurrent class. N agents, S states, A actions of an agent, J = A**N
joint actions in the order of numpy.ravel (the first agent's action is slowest), K features.
Everything is float64.

Sources: Zhang, Yang, Liu, Zhang, Basar (ICML 2018) for fixed points and gradient; Howard, Dynamic
Programming and Markov Processes (1960), for the optimum.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.walks import Array


class Game(NamedTuple):
    """A game of agents that all see the state."""

    transitions: Array
    """[S, J, S]: P(s' | s, a)."""
    rewards: Array
    """[N, S, J]: every agent's mean reward."""

    @property
    def team_reward(self) -> Array:
        """[S, J]: the mean over agents."""
        return self.rewards.mean(0)


class Values(NamedTuple):
    """The values of policies."""

    law: Array
    """[S]: the stationary distribution."""
    gains: Array
    """[N]: J^i, every agent's average reward per step; their mean is the team's J."""
    v: Array
    """[S]: the team's differential value, zero on average over the stationary distribution."""
    q: Array
    """[S, J]: the differential value of an action: team reward - J + the expected v after it."""


def joint(pi: Array) -> Array:
    """Return the probabilities of joint actions [S, J]."""
    law = np.ones((pi.shape[1], 1))
    for policy in pi:
        law = (law[:, :, None] * policy[:, None, :]).reshape(len(law), -1)
    return law


def chain(game: Game, pi: Array) -> Array:
    """Return the transition probabilities [S, S] under policies."""
    return (joint(pi)[:, None] @ game.transitions)[:, 0]


def stationary(transitions: Array) -> Array:
    """Return the stationary distribution [S] of a chain [S, S]."""
    ones = np.ones_like(transitions)
    return _solve((np.eye(len(ones)) - transitions + ones).T, ones[0])


def differential(transitions: Array, reward: Array) -> tuple[float, Array]:
    """Return the average reward of a chain [S, S] with rewards [S], and its differential value."""
    law = stationary(transitions)
    gain = float(law @ reward)
    return gain, _solve(np.eye(len(law)) - transitions + law, reward - gain)


def evaluate(game: Game, pi: Array) -> Values:
    """Return the values of policies [N, S, A]."""
    actions, transitions = joint(pi), chain(game, pi)
    law = stationary(transitions)
    gains = np.einsum("s,sj,nsj->n", law, actions, game.rewards)
    gain, v = differential(transitions, (actions * game.team_reward).sum(1))
    return Values(law, gains, v, game.team_reward - gain + game.transitions @ v)


def critic_q(game: Game, pi: Array, features: Array) -> Array:
    """Return w_theta [K], the limit of TD(0) with action-value features [S * J, K].

    There the team's projected Bellman error is zero, under the policies' distribution of states.
    LinAlgError unless features have full column rank and span no constant.
    """
    actions = joint(pi)
    mean = np.einsum("sj,sjk->sk", actions, features.reshape(*actions.shape, -1))
    after = game.transitions.reshape(-1, len(actions)) @ mean
    law, gain = _visits(game, pi), evaluate(game, pi).gains.mean()
    return _fixed_point(features, after, law, game.team_reward.ravel() - gain)


def critic_v(game: Game, pi: Array, features: Array) -> Array:
    """Return v_theta [K], the limit of TD(0) with state-value features [S, K]."""
    transitions, reward = chain(game, pi), (joint(pi) * game.team_reward).sum(1)
    law = stationary(transitions)
    return _fixed_point(features, transitions @ features, law, reward - law @ reward)


def reward_model(game: Game, pi: Array, features: Array) -> Array:
    """Return lambda_theta [K], the regression of the team reward on features [S * J, K]."""
    return _fixed_point(
        features, np.zeros_like(features), _visits(game, pi), game.team_reward.ravel()
    )


def softmax(features: Array, theta: Array) -> Array:
    """Return policies [N, S, A] of features [N, S, A, K] and parameters [N, K]."""
    scores = np.einsum("nsak,nk->nsa", features, theta)
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    return chances / chances.sum(-1, keepdims=True)


def policy_gradient(game: Game, pi: Array, features: Array, q: Array) -> Array:
    """Return E[q * grad log pi^i] [N, K] for softmax policies of features [N, S, A, K].

    With q [S, J] of `evaluate` it is dJ / dtheta; with a critic's q, the direction of its actor.
    """
    weights = stationary(chain(game, pi))[:, None] * joint(pi) * q
    num_agents, num_states, num_actions = pi.shape
    weights = weights.reshape(num_states, *(num_actions,) * num_agents)
    axes = range(1, num_agents + 1)
    agent_weights = np.stack([weights.sum(tuple(a for a in axes if a != axis)) for axis in axes])
    scores = features - np.einsum("nsa,nsak->nsk", pi, features)[:, :, None]
    return np.einsum("nsa,nsak->nk", agent_weights, scores)


def optimum(
    transitions: Array, reward: Array, start: NDArray[np.intp] | None = None
) -> tuple[float, NDArray[np.intp]]:
    """Return the best average reward, and a choice [S] that has it, by policy iteration.

    There are transitions [S, X, S] and rewards [S, X] of X choices. Where `start` [S] is as good as
    the best choice, it is kept.
    """
    states = np.arange(len(reward))
    rounding = 1e-10 * max(1.0, float(np.abs(reward).max()))
    choice = reward.argmax(1) if start is None else start
    while True:
        gain, v = differential(transitions[states, choice], reward[states, choice])
        worth = reward + transitions @ v
        best = worth.argmax(1)
        better = worth[states, best] > worth[states, choice] + rounding
        if not better.any():
            return gain, choice
        choice = np.where(better, best, choice)


def _visits(game: Game, pi: Array) -> Array:
    """Return the stationary probability of each state and joint action, [S * J]."""
    return (stationary(chain(game, pi))[:, None] * joint(pi)).ravel()


def _fixed_point(features: Array, after: Array, law: Array, reward: Array) -> Array:
    """Solve E[(reward + w after - w features) features] = 0 for w [K]; features [X, K], law [X]."""
    weighted = features.T * law
    return _solve(weighted @ (features - after), weighted @ reward)


def _solve(matrix: Array, vector: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, vector), dtype=np.float64)
