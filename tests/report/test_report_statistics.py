"""Our aggregates and intervals are those of the package rliable."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from absl import logging as absl_logging
from rliable import library, metrics

from marlrun.report.analysis import statistics
from marlrun.report.analysis.statistics import RESAMPLES

# rliable brings absl, whose handler closes its stream when Hydra sets up logging in a later test,
# unless it is the true one; now it is pytest's.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

SEEDS, TASKS = 7, 3
SCORES = np.random.default_rng(1).normal(size=(SEEDS, TASKS)) ** 3
OTHERS = np.random.default_rng(2).normal(0.5, size=(5, TASKS)) ** 3


def by_task(scores):
    return list(scores.T)


def drawn_as_rliable(*shapes, reps=300):
    """The resamples that rliable draws after np.random.seed(0), as counts per task."""
    np.random.seed(0)  # noqa: NPY002  rliable draws from the global generator
    counts = [np.zeros((shape[1], reps, shape[0]), int) for shape in shapes]
    for resample in range(reps):
        for shape, count in zip(shapes, counts, strict=True):
            seeds = np.random.choice(shape[0], shape, replace=True)  # noqa: NPY002
            for task in range(shape[1]):
                count[task, resample] = np.bincount(seeds[:, task], minlength=shape[0])
    return [list(count) for count in counts]


def rliable_interval(scores, func, reps=300):
    np.random.seed(0)  # noqa: NPY002
    point, interval = library.get_interval_estimates(
        {"a": scores}, lambda *x: np.array([func(*x)]), reps=reps
    )
    return float(point["a"][0]), *interval["a"][:, 0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(statistics.iqm, metrics.aggregate_iqm), (statistics.mean, metrics.aggregate_mean)],
)
def test_aggregates_agree_with_rliable(ours, theirs):
    expected = rliable_interval(SCORES, theirs)
    assert ours(by_task(SCORES), *drawn_as_rliable(SCORES.shape)) == pytest.approx(expected)
    # with our own resamples: within the noise of the bootstrap
    spread = expected[2] - expected[1]
    many = rliable_interval(SCORES, theirs, reps=2000)
    assert ours(by_task(SCORES)) == pytest.approx(many, abs=0.08 * spread)


def test_probability_of_improvement_agrees_with_rliable():
    expected = rliable_interval([SCORES, OTHERS], metrics.probability_of_improvement)
    counts = tuple(drawn_as_rliable(SCORES.shape, OTHERS.shape))
    found = statistics.improvement(by_task(SCORES), by_task(OTHERS), counts)
    assert found == pytest.approx(expected)
    own = statistics.improvement(by_task(SCORES), by_task(OTHERS))
    assert own == pytest.approx(expected, abs=0.05)


def test_profile_agrees_with_rliable():
    thresholds = np.linspace(-2, 2, 9)
    np.random.seed(0)  # noqa: NPY002
    point, interval = library.create_performance_profile({"a": SCORES}, thresholds, reps=300)
    found = statistics.profile(by_task(SCORES), thresholds, *drawn_as_rliable(SCORES.shape))
    for one, other in zip(found, (point["a"], *interval["a"]), strict=True):
        np.testing.assert_allclose(one, other)


def test_curve_agrees_with_rliable_point_by_point():
    points = np.random.default_rng(3).normal(size=(2, 20)).cumsum(0)
    iqm, low, high = statistics.curve(points)
    for row in range(2):
        expected = rliable_interval(points[row][:, None], metrics.aggregate_iqm, reps=1000)
        spread = expected[2] - expected[1]
        assert iqm[row] == pytest.approx(expected[0])
        assert (low[row], high[row]) == pytest.approx(expected[1:], abs=0.1 * spread)


def test_curve_of_sorted_seeds_is_exactly_the_aggregate():
    row = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    curve = [float(part[0]) for part in statistics.curve(row[None])]
    assert curve == pytest.approx(statistics.iqm([row], [statistics.resample(5)]))


def test_interquartile_mean_by_hand():
    # of 5 seeds, int(.25 * 5) = 1 is cut at each end: (1 + 2 + 3) / 3
    assert statistics.iqm([np.array([3.0, 100.0, 1.0, 2.0, -50.0])]).value == 2.0
    # drawn as [1, 1, 1, 9, 9]: the middle three are 1, 1, 9
    weights = statistics.trimmed_weights(np.array([[3, 0, 2]]))
    assert weights @ np.array([1.0, 5.0, 9.0]) == pytest.approx([11 / 3])


def test_ties_count_half():
    ours, theirs = [np.array([1.0, 2.0])], [np.array([1.0, 1.0])]
    assert statistics.improvement(ours, theirs).value == 0.75
    assert statistics.improvement(theirs, ours).value == 0.25


def test_tasks_may_have_unequal_seeds():
    scores = [np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0])]
    assert statistics.mean(scores).value == 0.75
    share, low, high = statistics.profile(scores, np.array([0.5]))
    assert share == [0.75]
    assert (low[0], high[0]) == (0.5, 1.0)


def test_two_seeds_have_no_interval_and_missing_seeds_do_not_count():
    assert np.isnan(statistics.iqm([np.array([3.0, 4.0])])[1:]).all()
    values = np.array([[1.0, 2.0, 3.0], [np.nan, 5.0, 7.0], [np.nan] * 3])
    iqm, low, high = statistics.curve(values)
    np.testing.assert_array_equal(iqm, [2.0, 6.0, np.nan])
    np.testing.assert_array_equal(low, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(high, [3.0, np.nan, np.nan])


@pytest.mark.parametrize("fewest", [1, 2, 3, 4, 5])
def test_the_task_with_the_fewest_seeds_says_whether_there_is_an_interval(fewest: int):
    scores = [np.arange(float(size)) for size in (9, fewest, 9)]
    profile = statistics.profile(scores, np.array([0.5]))
    estimates = [f(scores) for f in (statistics.iqm, statistics.mean)]
    estimates.append(statistics.improvement(scores, scores[::-1]))
    has_interval = [not np.isnan(one.low) for one in estimates] + [not np.isnan(profile[1][0])]
    assert has_interval == [fewest >= 3] * 4
    is_marked = [isinstance(one, statistics.Narrow) for one in estimates]
    assert is_marked == [3 <= fewest < 5] * 3


def test_resamples_are_even_fixed_and_independent():
    counts = [statistics.resample(5, stream) for stream in (0, 1)]
    assert counts[0].shape == (RESAMPLES, 5)
    assert (counts[0].sum(1) == 5).all()
    assert abs(counts[0].mean(0) - 1).max() < 0.1
    for one, other in pairwise(counts):
        assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 0.1
