"""MA-AIRL without samples or networks: tables, and expectations under exact laws.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019, algorithm 1:
discriminators descend the cross-entropy, policies follow E[f_i - log q_i]. What is left of an error
here is the method's own. Every step of a policy goes a share of the way to the best reply under the
present rewards; all of the way, policies and discriminators chase each other without end.

Shapes: N agents, S states, A_i actions of agent i.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.discriminator import slope
from marlrun.exact.lsbre import Array, joint_law, responses
from marlrun.exact.markov_game import Game, product, visits

_STRIDE = 0.05
"""How far policies go at once, as a share of the way in log-probabilities."""
_RATE = 1.0
"""How far discriminators go at once, in units of their curvature."""


class OneShot(NamedTuple):
    """What was learned of a game without states."""

    f: Array
    """[N, A_0, ..]: of every agent, given all actions."""
    law: Array
    """[A_0, ..]: the joint law of the learned policies q_i(a_i | a_-i)."""


def one_shot(expert: Array, steps: int) -> OneShot:
    """Learn from a joint law [A_0, ..] of positive numbers.

    Discriminators see the actions of all agents, and policies the actions of the others: agents
    that draw independently could not play a law with correlated actions.
    """
    f = np.zeros((expert.ndim, *expert.shape))
    log_q = np.log(_replies(f))
    for _ in range(steps):
        law = joint_law(log_q)
        # The curvature of the cross-entropy is at most (p + rho) / 4.
        f += _RATE * 4 * slope(expert, law, f - log_q) / (expert + law)
        log_q = np.log(_replies(_stride(log_q, np.log(_replies(f)))))
    return OneShot(f, joint_law(log_q))


def _replies(rewards: Array) -> Array:
    """Return q_i(a_i | a_-i) = softmax(r_i(., a_-i)), [N, A_0, ..]."""
    return np.stack([responses(reward[None], agent)[0] for agent, reward in enumerate(rewards)])


def _stride(log_q: Array, log_reply: Array) -> Array:
    """Return the logits of policies a stride nearer to their replies."""
    return log_q + _STRIDE * (log_reply - log_q)


class Markov(NamedTuple):
    """What was learned of a game with states."""

    g: Array
    """[N, S]: the recovered rewards, of the state alone."""
    h: Array
    """[N, S]: the recovered potentials."""
    policies: list[Array]
    """[S, A_i] of every agent."""


def markov(game: Game, expert: Array, discount: float, horizon: int, steps: int) -> Markov:
    """Learn from a joint law [S, A_0, A_1] in a game of two agents whose moves never fail.

    f_i = g_i(s) + discount h_i(s') - h_i(s). Policies draw independently, and agent i's
    discriminator sees (s, a_i, s'). Episodes have `horizon` steps.
    """
    following = game.transitions.argmax(-1)
    assert game.transitions.max(-1).min() == 1
    p = _samples(game, expert, horizon)
    g, h, values = np.zeros((3, 2, len(expert)))
    policies = [np.full((len(expert), size), 1 / size) for size in expert.shape[1:]]
    for _ in range(steps):
        rho = _samples(game, product(policies), horizon)
        for agent, policy in enumerate(policies):
            f = (g[agent] - h[agent])[:, None, None] + discount * h[agent][following]
            logit = f - np.log(np.expand_dims(policy, 2 - agent))
            _descend(g[agent], h[agent], slope(p, rho, logit), p + rho, following, discount)
        replies = _soft_replies(g, values, policies, following, discount)
        pairs = zip(policies, replies, strict=True)
        policies = [responses(_stride(np.log(q), log_reply), 0) for q, log_reply in pairs]
    return Markov(g, h, policies)


def _soft_replies(
    g: Array, values: Array, policies: list[Array], following: NDArray[np.intp], discount: float
) -> list[Array]:
    """Return log softmax(E[Q_i(s, a_i, a_-i)]) [S, A_i] of both agents; move `values` [N, S]."""
    replies: list[Array] = []
    for agent, other in enumerate((1, 0)):
        q = g[agent][:, None, None] + discount * values[agent][following]
        q = (q * np.expand_dims(policies[other], 2 - other)).sum(1 + other)
        values[agent] = np.logaddexp.reduce(q, 1)
        replies.append(q - values[agent][:, None])
    return replies


def _samples(game: Game, law: Array, horizon: int) -> Array:
    """Return the chance [S, A_0, A_1] of every state and joint action within an episode."""
    return visits(game, law, horizon)[:, None, None] * law


def _descend(
    g: Array, h: Array, slopes: Array, mass: Array, following: NDArray[np.intp], discount: float
) -> None:
    """Move g [S] and h [S] in place by the slopes [S, A_0, A_1] of the logit."""

    def leaving(numbers: Array) -> Array:
        return numbers.sum((1, 2))

    def arriving(numbers: Array) -> Array:
        return np.bincount(following.ravel(), numbers.ravel(), len(g)).astype(np.float64)

    # Three numbers decide a logit, g(s), h(s) and h(s'), so each goes a third of its own way.
    stride = _RATE * 4 / 3
    g += stride * leaving(slopes) / leaving(mass)
    h += (
        stride
        * (discount * arriving(slopes) - leaving(slopes))
        / (discount**2 * arriving(mass) + leaving(mass))
    )
