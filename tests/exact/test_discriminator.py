"""The best discriminator of two known laws, its cross-entropy and its slopes."""

import numpy as np
import pytest

from marlrun.exact.discriminator import best, best_f, chance, cross_entropy, slope


def two_laws() -> tuple[np.ndarray, np.ndarray]:
    expert, policy = np.random.default_rng(0).dirichlet(np.ones(12), 2)
    return expert.reshape(3, 4), policy.reshape(3, 4)


def test_best_by_hand():
    assert best(np.array([0.3, 0.7, 0.0]), np.array([0.1, 0.4, 0.5])) == pytest.approx(
        [0.75, 7 / 11, 0]
    )
    assert np.isnan(best(np.zeros(1), np.zeros(1)))


def test_where_the_laws_agree_it_is_a_half_and_f_is_the_log_probability():
    law, _ = two_laws()
    log_q = np.log(law / law.sum(0))
    assert best(law, law) == pytest.approx(np.full((3, 4), 0.5))
    f = best_f(law, law, log_q)
    assert f == pytest.approx(log_q, rel=1e-12)
    assert cross_entropy(law, law, f - log_q) == pytest.approx(2 * np.log(2))


def test_best_f_has_the_best_discriminator_and_no_other_is_better():
    expert, policy = two_laws()
    log_q = np.log(policy / policy.sum(0))
    logit = best_f(expert, policy, log_q) - log_q
    assert chance(logit) == pytest.approx(best(expert, policy))
    assert slope(expert, policy, logit) == pytest.approx(0, abs=1e-15)
    least = cross_entropy(expert, policy, logit)
    for noise in np.random.default_rng(1).normal(0, 0.3, (20, 3, 4)):
        assert cross_entropy(expert, policy, logit + noise) > least


def test_slopes_are_differences():
    expert, policy = two_laws()
    logit = np.random.default_rng(2).normal(0, 2, (3, 4))
    for index in np.ndindex(3, 4):
        small = np.zeros((3, 4))
        small[index] = 1e-5
        ahead, behind = (cross_entropy(expert, policy, logit + way * small) for way in (1, -1))
        expected = -(ahead - behind) / 2e-5
        assert slope(expert, policy, logit)[index] == pytest.approx(expected, abs=1e-9)


def test_what_the_policy_never_does_is_surely_the_experts():
    assert best_f(np.array([0.5, 0.5]), np.array([1.0, 0]), np.zeros(2))[1] == np.inf
