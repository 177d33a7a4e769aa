"""Rounds of communication: functions from the number of a round to its matrices."""

from collections.abc import Callable, Sequence

from marlrun.graphs.network import Mixing
from marlrun.graphs.sampling import Failures, Sampler
from marlrun.graphs.sparse import Pattern
from marlrun.graphs.weights import consensus

_BLOCK = 2**16
"""The matrices of a block have so many entries at most, which the cache of a core holds."""


class Repeated:
    """A few rounds over and over; each lasts for `every` numbers."""

    def __init__(self, mixings: Sequence[Mixing], every: int = 1):
        self._mixings, self._every = mixings, every

    def __call__(self, counter: int) -> Mixing:
        """Return the matrices of round `counter`."""
        return self._mixings[counter // self._every % len(self._mixings)]


class Sampled:
    """Rounds of random matrices, sampled in blocks; each lasts for `every` numbers."""

    def __init__(self, sampler: Sampler, size: int, every: int):
        """Make the rounds of a sampler whose matrices have `size` entries in a round."""
        self._sampler, self._every = sampler, every
        self._length = max(1, min(256, _BLOCK // size))
        self._block = -1
        self._mixings: list[Mixing] = []

    def __call__(self, counter: int) -> Mixing:
        """Return the matrices of round `counter`."""
        block, row = divmod(counter // self._every, self._length)
        if block != self._block:
            self._mixings = [Mixing(matrix) for matrix in self._sampler(block, self._length)]
            self._block = block
        return self._mixings[row]


class Failing:
    """Rounds of a sparse graph whose links fail; each lasts for `every` numbers."""

    def __init__(self, pattern: Pattern, failures: Failures, every: int):
        self._pattern, self._failures, self._every = pattern, failures, every
        self._latest: tuple[int, Mixing] | None = None

    def __call__(self, counter: int) -> Mixing:
        """Return the matrices of round `counter`."""
        number = counter // self._every
        if self._latest is None or self._latest[0] != number:
            self._latest = number, self._pattern.mixing(self._failures(number, 1)[0])
        return self._latest[1]


def weighted(masks: Sampler, weights: str) -> Sampler:
    """Return a sampler of the matrices that belong to masks."""
    return lambda block, length: consensus(masks(block, length), weights)


Rounds = Callable[[int], Mixing]
