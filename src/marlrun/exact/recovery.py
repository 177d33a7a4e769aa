"""How much of a game's rewards was recovered, where the game is solved exactly.

The expert plays the same under r_i and r_i + c, and under r_i plus any number that the other agent
alone decides. (Also under r_i plus discount Phi(s') - Phi(s); but a reward of the state alone holds
none of that, where every state is linked with every other: Fu, Luo & Levine, "Learning Robust
Rewards with Adversarial Inverse Reinforcement Learning", ICLR 2018.) So two rewards of the state
alone are compared after each has lost its mean over the agent's own positions, given the other's.
"""

from typing import NamedTuple

import numpy as np

from marlrun.exact.lsbre import Array
from marlrun.exact.markov_game import Game, divergence, shares, visits
from marlrun.exact.markov_lsbre import stationary


class Recovery(NamedTuple):
    """What tells how well rewards were recovered, [N] each."""

    divergence: Array
    """KL(expert's policy, that of the LSBRE of the recovered rewards), mean over the expert's states."""
    pearson: Array
    """Correlation of what can be identified of both rewards, means over actions, over all states."""


def recovery(game: Game, expert: Array, g: Array, discount: float, horizon: int) -> Recovery:
    """Compare g [N, S, A] with the rewards of a game of two agents, whose expert's law is [S, A, A].

    g_i is of the state and the agent's own action, and may be the same for all actions; the game's
    rewards are of the state alone. A state's number is x_0 * X + x_1, where agent i stands in x_i of
    X positions. Unsolvable if the recovered game has no stationary LSBRE.
    """
    rewards = np.stack(
        [np.broadcast_to(np.expand_dims(g[i], 2 - i), game.rewards.shape[1:]) for i in (0, 1)]
    )
    law = stationary(Game(rewards, game.transitions), discount).law
    weights = visits(game, expert, horizon)
    pairs = zip(shares(expert), shares(law), strict=True)
    divergences = [weights @ divergence(policy, other) for policy, other in pairs]
    pearson = [
        _correlation(identifiable(g[agent].mean(-1), agent), identifiable(reward, agent))
        for agent, reward in enumerate(game.rewards[..., 0, 0])
    ]
    return Recovery(np.array(divergences), np.array(pearson))


def identifiable(reward: Array, agent: int) -> Array:
    """Return reward [S], less its mean over the agent's own position given the other's."""
    positions = round(len(reward) ** 0.5)
    table = reward.reshape(positions, positions)
    return (table - table.mean(agent, keepdims=True)).ravel()


def _correlation(one: Array, other: Array) -> float:
    """Return Pearson's correlation; 0 where one of them is constant."""
    covariance = np.cov(one, other)
    scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
    return float(covariance[0, 1] / scale) if scale > 1e-12 else 0.0
