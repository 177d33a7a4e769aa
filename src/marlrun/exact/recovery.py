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
    """Correlation of the identifiable parts of the recovered and the true rewards, over all states."""


def recovery(game: Game, expert: Array, g: Array, discount: float, horizon: int) -> Recovery:
    """Compare g [N, S] with the rewards of a game of two agents, whose expert's law is [S, A_0, A_1].

    A state's number is x_0 * X + x_1, where agent i stands in x_i of X positions, and the game's
    rewards are of the state alone. Unsolvable if the recovered game has no stationary LSBRE.
    """
    rewards = np.broadcast_to(g[..., None, None], game.rewards.shape)
    law = stationary(Game(rewards, game.transitions), discount).law
    weights = visits(game, expert, horizon)
    pairs = zip(shares(expert), shares(law), strict=True)
    divergences = [weights @ divergence(policy, other) for policy, other in pairs]
    pearson = [
        np.corrcoef(identifiable(g[agent], agent), identifiable(reward, agent))[0, 1]
        for agent, reward in enumerate(game.rewards[..., 0, 0])
    ]
    return Recovery(np.array(divergences), np.array(pearson))


def identifiable(reward: Array, agent: int) -> Array:
    """Return reward [S], less its mean over the agent's own position given the other's."""
    positions = round(len(reward) ** 0.5)
    table = reward.reshape(positions, positions)
    return (table - table.mean(agent, keepdims=True)).ravel()
