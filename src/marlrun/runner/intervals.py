"""Means with their 95 % intervals."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean and, from two values on, Student's 95 % interval around it."""

    mean: float
    low: float | None
    high: float | None
    num_values: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with its interval."""
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return Estimate(mean, None, None, count)
    from scipy import special  # slow to import, and a run of one seed does not need it

    quantile: Any = special.stdtrit
    half = float(quantile(count - 1, 0.975)) * float(np.std(values, ddof=1)) / count**0.5
    return Estimate(mean, mean - half, mean + half, count)
