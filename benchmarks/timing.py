"""Timing in alternation, so that the drift of a busy machine cancels in the ratios."""

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

import torch

Times = dict[str, list[float]]
"""Name -> seconds a call, one number a round."""


class Ratio(NamedTuple):
    """Median and quartiles over rounds."""

    median: float
    low: float
    high: float


class Effort(NamedTuple):
    """How long to measure: `rounds` of every call in turn, each for about `seconds`."""

    rounds: int
    seconds: float


def alternate(calls: Mapping[str, Callable[[], object]], effort: Effort) -> Times:
    """Time each of `calls` once a round, in turn."""
    repeats = {name: _repeats(call, effort.seconds) for name, call in calls.items()}
    times: Times = {name: [] for name in calls}
    for _ in range(effort.rounds):
        for name, call in calls.items():
            times[name].append(_seconds(call, repeats[name]))
    return times


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """Compare two lists of times round by round."""
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return Ratio(median(ratios), low, high)


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = _now()
    for _ in range(repeats):
        call()
    return (_now() - start) / repeats


def _repeats(call: Callable[[], object], seconds: float) -> int:
    """Return how often to call to fill `seconds`; the first call warms up."""
    call()
    return max(1, round(seconds / _seconds(call, 3)))


def _now() -> float:
    """Return seconds: of our own CPU, which leaves out what others took, or the wall's on a GPU."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
