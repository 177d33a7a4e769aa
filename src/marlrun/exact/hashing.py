"""The random numbers of marlrun.streams in numpy, so that exact values need no torch."""

from hashlib import blake2b
from math import prod

import numpy as np
from numpy.typing import NDArray

from marlrun.exact.walks import Array

Words = NDArray[np.uint64]

MIN_WEIGHT = round(1e-5 * 2**24)
"""The weight of a transition is 1.001e-5 and a number from U[0, 1], in units of 2**-24."""


def words(seed: int, name: str, count: int) -> Words:
    """Return the first numbers of a stream, 64 bits each (SplitMix64)."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    derived = int.from_bytes(digest, "little") >> 1
    key = np.array([derived * 2 + 1], dtype=np.uint64)
    return mix(key + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def mix(x: Words) -> Words:
    """Return 64-bit words of any shape, scrambled by the finaliser of SplitMix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def halves(x: Words) -> NDArray[np.int64]:
    """Return 24 bits of the low and the high half of every word, [.., 2 * K] from [.., K]."""
    parts = np.stack([x & np.uint64(0xFFFFFFFF), x >> np.uint64(32)], axis=-1)
    return (parts >> np.uint64(8)).astype(np.int64).reshape(*x.shape[:-1], -1)


def uniform(seed: int, name: str, *shape: int) -> Array:
    """Return the first numbers of a uniform stream, multiples of 2**-24 in [0, 1)."""
    *outer, width = shape
    num_words = (width + 1) // 2
    numbers = halves(words(seed, name, prod(outer) * num_words).reshape(-1, num_words))
    return numbers[:, :width].reshape(shape).astype(np.float64) * 2.0**-24


def probabilities(weights: NDArray[np.int64]) -> Array:
    """Return transition probabilities [.., S] of weights U[0, 1] in units of 2**-24."""
    positive = (weights + MIN_WEIGHT).astype(np.float64)
    return positive / positive.sum(-1, keepdims=True)
