"""No key takes a number that 64 bits, or single precision, cannot hold."""

from typing import Any

import numpy as np
import pytest
import yaml
from extremes import cases, extremes

from marlrun.config.kinds import fits

CASES = list(cases())


def held(number: Any) -> bool:
    """Say whether torch can be given a number, and it stays what it is."""
    if isinstance(number, int):
        return -(2**63) <= number < 2**63
    with np.errstate(over="ignore"):
        single = np.float32(number)
    return bool(np.isfinite(single)) and (single != 0) == (number != 0)


def read(typed: str) -> Any:
    """Read a value as the command line does."""
    value = yaml.safe_load(typed)
    numbers = [float(x) if isinstance(x, str) else x for x in np.atleast_1d(value).tolist()]
    return numbers if isinstance(value, list) else numbers[0]


def test_there_are_cases():
    assert extremes("list of 2 int [1, 9] or null")[:3] == ["[1,1]", "[9,9]", "[0,0]"]
    keys = {key for _, key, _, _ in CASES}
    assert {"algo.lr", "env.horizon", "graph.k", "seed", "episodes"} <= keys and len(CASES) > 500


@pytest.mark.parametrize("path", sorted({path for path, *_ in CASES}))
def test_what_is_taken_can_be_held(path: str):
    taken = [
        (key, value)
        for file, key, kind, typed in CASES
        if file == path and fits(kind, value := read(typed))
    ]
    assert taken
    bad = [
        (key, value) for key, value in taken if not all(map(held, np.atleast_1d(value).tolist()))
    ]
    assert bad == []
