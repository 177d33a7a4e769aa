"""Whether networks made for one game fit another."""

from typing import cast

from marlrun.system.plain import printable
from marlrun.types import Spec

_SHAPES = {
    "agent_names": "the agents",
    "obs_sizes": "observations of size",
    "num_actions": "a number of actions of",
    "num_states": "a number of common states of",
}
"""What of a game the networks of a learner depend on, and how messages call it."""


def misfit(trained: Spec, game: Spec, made: str = "the policy was trained with") -> str | None:
    """Say why networks made for one game do not fit another; None if they do.

    `made` says what was done in the game that they were made for.
    """
    for name, words in _SHAPES.items():
        before, now = (_shape_text(getattr(spec, name)) for spec in (trained, game))
        if before != now:
            return f"the game has {words} {now}, {made} {before}"
    return None


def _shape_text(shape: object) -> str:
    """Write a shape; where it is the same for all agents, once."""
    parts = (
        list(map(str, cast("tuple[object]", shape))) if isinstance(shape, tuple) else [str(shape)]
    )
    return printable(parts[0] if len(set(parts)) == 1 else ", ".join(parts))
