"""The best discriminator of two known laws, and what it says of rewards.

Yu, Song & Ermon, "Multi-Agent Adversarial Inverse Reinforcement Learning", ICML 2019, section 4: with
D_i = exp f_i / (exp f_i + q_i), the logit of D_i is f_i - log q_i. Goodfellow et al., "Generative
Adversarial Nets", NeurIPS 2014, proposition 1, says which D is best. Where the laws agree, it is
1/2 everywhere, and f_i = log q_i: the expert's own log-probabilities.

All laws are arrays of one shape, whose entries are what a discriminator can tell apart.
"""

import numpy as np

from marlrun.exact.lsbre import Array


def best(expert: Array, policy: Array) -> Array:
    """Return D* = p / (p + rho), the chance that a sample is the expert's; the laws are p and rho.

    It minimises `cross_entropy`, and is NaN where both laws are 0.
    """
    with np.errstate(invalid="ignore"):
        return expert / (expert + policy)


def best_f(expert: Array, policy: Array, log_q: Array) -> Array:
    """Return f* = log(p / rho) + log q, whose discriminator is `best`.

    `log_q` broadcasts to the laws; f* is infinite where one of them is 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(expert) - np.log(policy) + log_q


def cross_entropy(expert: Array, policy: Array, logit: Array) -> float:
    """Return -E_expert[log D] - E_policy[log(1 - D)]; 2 log 2 where D is 1/2."""
    loss = expert * np.logaddexp(0, -logit) + policy * np.logaddexp(0, logit)
    return float(loss.sum())


def slope(expert: Array, policy: Array, logit: Array) -> Array:
    """Return minus the gradient of `cross_entropy` by the logit: p (1 - D) - rho D."""
    return expert - (expert + policy) * chance(logit)


def chance(logit: Array) -> Array:
    """Return D = 1 / (1 + exp(-logit))."""
    return np.exp(-np.logaddexp(0, -logit))
