"""Rewards of a one-shot game from what its agents did, by pseudo-likelihood.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019, section 4: the
product over agents of P(a_i | a_-i), each softmax(r_i(., a_-i)), is maximised in place of the joint
likelihood, which no formula gives. With a reward for every joint action the maximum is where
softmax is the share of each action, so r_i is known up to a function of the others' actions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.lsbre import Array


class LogOdds(NamedTuple):
    """r_i(a_i, a_-i) - r_i(0, a_-i) of one agent, of the shape of the joint law; 0 where a_i = 0."""

    estimate: Array
    error: Array
    """Its standard error: 0 where the law is exact, infinite where a joint action was never seen."""


def of_law(law: Array, agent: int) -> Array:
    """Return the log-odds that maximise the pseudo-likelihood under a joint law [A_0, ..]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_law = np.log(law)
        return log_law - log_law.take([0], agent)


def of_counts(counts: NDArray[np.integer], agent: int) -> LogOdds:
    """Return the log-odds given how often each joint action was seen, [A_0, ..].

    Given the others' actions, the counts are multinomial, and by the delta method the variance of
    log(n_a / n_0) is 1 / n_a + 1 / n_0.
    """
    with np.errstate(divide="ignore"):
        inverse = 1 / counts.astype(np.float64)
    error = np.sqrt(inverse + inverse.take([0], agent))
    first = np.indices(counts.shape)[agent] == 0
    return LogOdds(of_law(counts.astype(np.float64), agent), np.where(first, 0.0, error))
