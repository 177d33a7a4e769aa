"""The logistic stochastic best-response equilibrium of a one-shot game.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019: the stationary
law of a chain in which agents take turns, and each draws its action anew from
softmax(r_i(., a_-i)) given the present actions of the others. Where the game has no potential, the
law depends on whose turn was last; here agents take turns in their order, and it is the law after
the last agent.

Shapes: N agents, J joint actions, numbered in the order of the payoffs' axes.
"""

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.walks import Unsolvable

Array = NDArray[np.float64]

_LARGEST = 1_000
"""Joint actions; the chain has a number for every pair of them."""


def joint_law(payoffs: Array) -> Array:
    """Return the law [A_0, .., A_{N-1}] of joint actions, given payoffs [N, A_0, .., A_{N-1}].

    Unsolvable if there are too many joint actions, or if payoffs are so far apart that the chain
    cannot come from some of them to others in double precision.
    """
    shape = payoffs.shape[1:]
    size = int(np.prod(shape))
    if size > _LARGEST:
        raise Unsolvable(
            f"too large for its LSBRE: {size:,} joint actions, expected at most {_LARGEST:,}"
        )
    sweep = np.eye(size)
    for agent, payoff in enumerate(payoffs):
        sweep = sweep @ _turn(payoff, agent)
    return _stationary(sweep).reshape(shape)


def _turn(payoff: Array, agent: int) -> Array:
    """Return the chain [J, J] in which `agent` alone draws its action anew."""
    weights = np.exp(payoff - payoff.max(agent, keepdims=True))
    response = (weights / weights.sum(agent, keepdims=True)).ravel()
    number = np.arange(payoff.size).reshape(payoff.shape)
    turn = np.zeros((payoff.size, payoff.size))
    # All joint actions with the same actions of the others stand in one row.
    for same_others in np.moveaxis(number, agent, -1).reshape(-1, payoff.shape[agent]):
        turn[np.ix_(same_others, same_others)] = response[same_others]
    return turn


def _stationary(chain: Array) -> Array:
    """Return the stationary law [J] of a chain [J, J], without any subtraction.

    Grassmann, Taksar & Heyman (1985): states are left out one by one, which is exact to rounding
    even where the chain hardly ever leaves a part of them.
    """
    rest = chain.copy()
    for last in range(len(rest) - 1, 0, -1):
        leaves = rest[last, :last].sum()
        if leaves == 0:
            raise Unsolvable("payoffs are too far apart for its LSBRE in double precision")
        rest[:last, last] /= leaves
        rest[:last, :last] += np.outer(rest[:last, last], rest[last, :last])
    law = np.zeros(len(rest))
    law[0] = 1.0
    for state in range(1, len(rest)):
        law[state] = law[:state] @ rest[:state, state]
    return law / law.sum()
