"""Games with states, of few states and actions, and what happens under a law of joint actions.

Shapes: N agents, S states, A_i actions of agent i. Episodes begin in every state with the same
chance; only the clock ends them.
"""

from typing import NamedTuple

import numpy as np

from marlrun.exact.lsbre import Array


class Game(NamedTuple):
    """A game whose agents all see the state."""

    rewards: Array
    """[N, S, A_0, ..]: r_i(s, a)."""
    transitions: Array
    """[S, A_0, .., S]: P(s' | s, a)."""


def returns(game: Game, law: Array, horizon: int, discount: float) -> Array:
    """Return each agent's expected return [N] of an episode under a joint law [S, A_0, ..]."""
    rewards = (game.rewards * law).reshape(*game.rewards.shape[:2], -1).sum(-1)
    chain = _chain(game, law)
    values = np.zeros_like(rewards)
    for _ in range(horizon):
        values = rewards + discount * values @ chain.T
    return values.mean(-1)


def visits(game: Game, law: Array, horizon: int) -> Array:
    """Return [S]: the share of an episode's steps before which the game is in each state."""
    chain = _chain(game, law)
    states = np.full(len(chain), 1 / len(chain))
    total = np.zeros_like(states)
    for _ in range(horizon):
        total += states / horizon
        states = states @ chain
    return total


def shares(law: Array) -> list[Array]:
    """Return each agent's share [S, A_i] of a joint law [S, A_0, ..]: its policy."""
    axes = range(1, law.ndim)
    return [law.sum(tuple(axis for axis in axes if axis != agent)) for agent in axes]


def product(policies: list[Array]) -> Array:
    """Return the joint law [S, A_0, ..] of agents that draw independently, from [S, A_i] each."""
    law = policies[0]
    for policy in policies[1:]:
        law = law[..., None] * policy.reshape(len(policy), *[1] * (law.ndim - 1), -1)
    return law


def divergence(law: Array, other: Array) -> Array:
    """Return KL(law, other) in nats, [S] for laws [S, A_0, ..]."""
    positive = law > 0
    ratio = np.log(np.where(positive, law, 1.0)) - np.log(np.where(positive, other, 1.0))
    return (law * ratio).reshape(len(law), -1).sum(-1)


def correlation(law: Array) -> Array:
    """Return [S]: the information in nats that agents' actions tell of each other's.

    It is KL(joint law, product of its shares), 0 where agents that draw independently can play it.
    """
    return divergence(law, product(shares(law)))


def _chain(game: Game, law: Array) -> Array:
    """Return the chain [S, S] of states under a joint law [S, A_0, ..]."""
    size = len(law)
    transitions = game.transitions.reshape(size, -1, size)
    return np.einsum("sj,sjt->st", law.reshape(size, -1), transitions)
