"""Rounds: from a number of the round to its matrices, drawn where they are random."""

from collections.abc import Callable, Sequence

from marlrun.graphs.draws import Draw, Failures
from marlrun.graphs.network import Mixing
from marlrun.graphs.sparse import Pattern
from marlrun.graphs.weights import consensus

_BLOCK = 2**16
"""Entries of the matrices drawn at once: they stay in a core's cache."""


class Repeated:
    """The same rounds over and over, each held for some time."""

    def __init__(self, mixings: Sequence[Mixing], every: int = 1):
        self._mixings, self._every = mixings, every

    def __call__(self, counter: int) -> Mixing:
        """Return round `counter`."""
        return self._mixings[counter // self._every % len(self._mixings)]


class Drawn:
    """Random matrices, each held for some time, a block of them drawn at once."""

    def __init__(self, draw: Draw, size: int, every: int):
        """Take what draws the matrices, and the entries of a round."""
        self._draw, self._every = draw, every
        self._length = max(1, min(256, _BLOCK // size))
        self._block = -1
        self._mixings: list[Mixing] = []

    def __call__(self, counter: int) -> Mixing:
        """Return round `counter`."""
        block, row = divmod(counter // self._every, self._length)
        if block != self._block:
            self._mixings = [Mixing(matrix) for matrix in self._draw(block, self._length)]
            self._block = block
        return self._mixings[row]


class Failing:
    """Rounds of a sparse graph whose links fail, each held for some time."""

    def __init__(self, pattern: Pattern, failures: Failures, every: int):
        self._pattern, self._failures, self._every = pattern, failures, every
        self._held: tuple[int, Mixing] | None = None

    def __call__(self, counter: int) -> Mixing:
        """Return round `counter`."""
        number = counter // self._every
        if self._held is None or self._held[0] != number:
            self._held = number, self._pattern.mixing(self._failures(number, 1)[0])
        return self._held[1]


def weighted(masks: Draw, weights: str) -> Draw:
    """Return what draws the matrices of masks."""
    return lambda block, length: consensus(masks(block, length), weights)


Rounds = Callable[[int], Mixing]
