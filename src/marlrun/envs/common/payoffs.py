"""The payoffs of one-shot games: those of named games, and those that a user gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DILEMMA = [[-1, -3], [0, -2]]
_PENNIES = [[1, -1], [-1, 1]]

SMALLEST, LARGEST = 1e-30, 1e9
"""Limits for the size of a payoff, such that single precision holds its square and sums."""

NAMED: dict[str, list[Any]] = {
    "climb": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],  # Claus & Boutilier 1998
    "penalty": [[10, 0, -10], [0, 2, 0], [-10, 0, 10]],  # the same, k = -10
    "coordination": [[2, 0], [0, 1]],
    "prisoners_dilemma": [_DILEMMA, np.transpose(_DILEMMA).tolist()],
    "matching_pennies": [_PENNIES, np.negative(_PENNIES).tolist()],
}


def read(game: str, payoff: Sequence[Any] | None) -> NDArray[np.float64]:
    """Return payoffs [N, A_0, .., A_{N-1}] of `payoff`, or of the named `game` where it is None.

    A nested list of depth d is one matrix per agent if its length is d - 1 >= 2, and otherwise
    one matrix common to d agents. (So a common game of three agents, the first of whom has two
    actions, is written as a list of three.) ValueError for anything else.
    """
    if payoff is None and game not in NAMED:
        raise ValueError(f"env.game: got {game!r}, expected one of {', '.join(NAMED)}")
    content = NAMED[game] if payoff is None else payoff
    try:
        table = np.array(content, dtype=np.float64)
    except (ValueError, TypeError):
        table = np.empty(0)
    except OverflowError:  # an int that is too large for any float
        table = np.full((1, 1), np.inf)
    sizes = np.abs(table)
    is_accepted = (sizes == 0) | ((sizes >= SMALLEST) & (sizes <= LARGEST))
    if table.ndim < 2 or table.size == 0 or not is_accepted.all():
        raise ValueError(
            f"env.payoff: got {content!r}, expected a full matrix, or one per agent, of numbers that "
            f"are 0 or of a size from {SMALLEST:g} to {LARGEST:g}"
        )
    if table.ndim > 2 and len(table) == table.ndim - 1:
        return table
    return np.repeat(table[None], table.ndim, axis=0)
