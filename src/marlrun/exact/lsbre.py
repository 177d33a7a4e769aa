"""The logistic stochastic best-response equilibrium (LSBRE) of one-shot games.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019: the
stationary law of a chain in which agents take turns, and each draws its action anew from
softmax(r_i(., a_-i)) given the present actions of the others. Where the game has no potential, the
law depends on whose turn was last; here agents take turns in their order, and it is the law after
the last agent. `markov_lsbre` has the games with states.

Shapes: N agents, S games of one shape (one for each state of a Markov game), J joint actions,
numbered in the order of the payoffs' axes.
"""

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.walks import Unsolvable

Array = NDArray[np.float64]

_LARGEST = 1_000
"""Joint actions; the chain has a number for every pair of them."""
_LARGEST_TOTAL = 20_000_000
"""Pairs of joint actions in all games together."""


def joint_law(payoffs: Array) -> Array:
    """Return the law [A_0, .., A_{N-1}] of joint actions, given payoffs [N, A_0, .., A_{N-1}].

    Unsolvable if there are too many joint actions, or if payoffs are so far apart that the chain
    cannot come from some of them to others in double precision.
    """
    return joint_laws(payoffs[:, None])[0]


def joint_laws(payoffs: Array) -> Array:
    """Return the laws [S, A_0, ..] of many games, given payoffs [N, S, A_0, ..].

    Unsolvable as in `joint_law`.
    """
    num_games, *shape = payoffs.shape[1:]
    size = int(np.prod(shape))
    refuse_large(num_games, size)
    sweeps = np.broadcast_to(np.eye(size), (num_games, size, size))
    for agent, payoff in enumerate(payoffs):
        sweeps = sweeps @ _turns(payoff, agent)
    return _stationary(sweeps).reshape(num_games, *shape)


def refuse_large(num_games: int, size: int) -> None:
    """Raise Unsolvable if games of `size` joint actions are too large, or too many."""
    if size > _LARGEST:
        raise Unsolvable(
            f"too large for its LSBRE: {size:,} joint actions, expected at most {_LARGEST:,}"
        )
    if num_games * size**2 > _LARGEST_TOTAL:
        raise Unsolvable(
            f"too large for its LSBRE: {num_games:,} states x {size:,}**2 pairs of joint actions, "
            f"expected at most {_LARGEST_TOTAL:,}"
        )


def responses(payoff: Array, agent: int) -> Array:
    """Return softmax(r_i(., a_-i)) [S, A_0, ..]: the law of `agent`'s action given the others'.

    `payoff` [S, A_0, ..] is the agent's own.
    """
    weights = np.exp(payoff - payoff.max(agent + 1, keepdims=True))
    return weights / weights.sum(agent + 1, keepdims=True)


def _turns(payoff: Array, agent: int) -> Array:
    """Return the chains [S, J, J] in which `agent` alone draws its action anew."""
    num_games, size = len(payoff), payoff.size // len(payoff)
    response = responses(payoff, agent).reshape(num_games, size)
    turns = np.zeros((num_games, size, size))
    number = np.arange(size).reshape(payoff.shape[1:])
    # All joint actions with the same actions of the others stand in one row.
    rows = np.moveaxis(number, agent, -1).reshape(-1, payoff.shape[agent + 1])
    for same_others in rows:
        turns[:, same_others[:, None], same_others] = response[:, None, same_others]
    return turns


def _stationary(chains: Array) -> Array:
    """Return the stationary laws [S, J] of chains [S, J, J], without any subtraction.

    Grassmann, Taksar & Heyman (1985): states are left out one by one, which is exact to rounding
    even where the chain hardly ever leaves a part of them.
    """
    rest = np.array(chains)
    num_chains, size = rest.shape[:2]
    for last in range(size - 1, 0, -1):
        leaves = rest[:, last, :last].sum(-1, keepdims=True)
        if not leaves.all():
            raise Unsolvable("payoffs are too far apart for its LSBRE in double precision")
        rest[:, :last, last] /= leaves
        rest[:, :last, :last] += rest[:, :last, last, None] * rest[:, last, None, :last]
    laws = np.zeros((num_chains, size))
    laws[:, 0] = 1.0
    for state in range(1, size):
        laws[:, state] = np.einsum("sj,sj->s", laws[:, :state], rest[:, :state, state])
    return laws / laws.sum(-1, keepdims=True)
