"""What a run counts: its budget, its periods and the rows of its log are in one unit."""

from collections.abc import Mapping
from typing import Any, Literal

Unit = Literal["env_steps", "updates"]
"""The key that holds the count in a run's configuration, run.json, rows and checkpoints.

Environment steps are counted per replica, summed over its copies; updates are those of an offline
learner, which does not act while it trains.
"""


def unit_of(document: Mapping[str, Any]) -> Unit:
    """Return what a configuration, run.json, row or checkpoint counts."""
    return "updates" if document.get("updates") is not None else "env_steps"


def plural(unit: Unit) -> str:
    """Return the unit as a sentence says it: `env steps`, `updates`."""
    return unit.replace("_", " ")


def singular(unit: Unit) -> str:
    """Return one of the unit: `env step`, `update`."""
    return plural(unit).removesuffix("s")


def stem(unit: Unit, count: int) -> str:
    """Return how the names of files begin: `step_10`, `update_10`."""
    return f"{singular(unit).split()[-1]}_{count}"
