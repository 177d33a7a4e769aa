"""The logistic stochastic best-response equilibrium (LSBRE) of games with states.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019, in its
form for Markov games, which is recursive in time: with t steps to go, the joint law in state s is the LSBRE of the one-shot game

    Q_i(s, a) = r_i(s, a) + discount E[V_i(s')],    V_i(s) = E[Q_i(s, a)] + H(pi_i(. | s)),

where pi_i is agent i's share of the joint law, H its entropy, and V_i = 0 when no step is left. A
stationary equilibrium is the limit of this law as the number of steps grows, under a discount
below 1: what a game has whose clock is not seen.

Shapes: N agents, S states, A_i actions of agent i, T steps.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from marlrun.exact.lsbre import Array, joint_laws, refuse_large
from marlrun.exact.markov_game import Game, shares
from marlrun.exact.walks import Unsolvable

_MAX_SWEEPS = 10_000
_TOLERANCE = 1e-10


class Equilibrium(NamedTuple):
    """What agents do in every state, and what they expect."""

    law: Array
    """[S, A_0, ..]: the joint law of actions."""
    values: Array
    """[N, S]: V_i, rewards and entropies to come."""


def finite_horizon(game: Game, horizon: int, discount: float = 1.0) -> list[Equilibrium]:
    """Return the equilibrium of every step, the first step first; `horizon` T >= 1 steps.

    Unsolvable if the game is too large, or if values are too far apart (`lsbre.joint_laws`).
    """
    return list(islice(_backwards(game, discount), horizon))[::-1]


def stationary(game: Game, discount: float) -> Equilibrium:
    """Return the limit of the law of the first step as the horizon grows.

    Unsolvable as in `finite_horizon`, or if the law does not settle, which can happen where agents
    want what others do not.
    """
    values = np.full(game.rewards.shape[:2], np.inf)
    for equilibrium in islice(_backwards(game, discount), _MAX_SWEEPS):
        change = np.abs(equilibrium.values - values).max()
        if change < _TOLERANCE * (1 - discount):
            return equilibrium
        values = equilibrium.values
    raise Unsolvable(
        f"discount={discount:g}: its LSBRE has not settled after {_MAX_SWEEPS:,} steps"
    )


def _backwards(game: Game, discount: float) -> Iterator[Equilibrium]:
    """Yield the equilibrium with one step to go, with two, and so on."""
    num_states, *shape = game.rewards.shape[1:]
    refuse_large(num_states, int(np.prod(shape)))
    values = np.zeros(game.rewards.shape[:2])
    while True:
        q = game.rewards + discount * np.moveaxis(game.transitions @ values.T, -1, 0)
        law = joint_laws(q)
        values = _values(q, law)
        yield Equilibrium(law, values)


def _values(q: Array, law: Array) -> Array:
    """Return V_i(s) = E[Q_i(s, a)] + H(pi_i(. | s)), [N, S]."""
    expected = (q * law).reshape(*q.shape[:2], -1).sum(-1)
    return expected + np.stack([_entropy(share) for share in shares(law)])


def _entropy(share: Array) -> Array:
    """Return the entropy [S] of laws [S, A], in nats."""
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1)
