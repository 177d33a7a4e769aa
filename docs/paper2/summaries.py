"""Numbers that sum up what every seed has; intervals are 95 % t intervals over seeds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Node = dict[str, Any]


def far(x: Array, goal: Array) -> Array:
    """Return |x - goal| / |goal|: [R, K] -> [R]."""
    return np.linalg.norm(x - goal, axis=-1) / np.linalg.norm(goal, axis=-1)


def summary(values: Any) -> Node:
    """Return mean, interval and the largest of what every seed has."""
    x = np.asarray(values, dtype=np.float64)
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    mean = float(x.mean())
    return {"mean": mean, "interval": [mean - half, mean + half], "max": float(x.max())}


def cosine(x: Array, y: Array) -> Array:
    """Return the cosine of the angle between vectors: [.., K] -> [..]."""
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


def rounded(x: Any) -> Any:
    """Return the same with four digits."""
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return float(f"{x:.4g}") if isinstance(x, float) else x
