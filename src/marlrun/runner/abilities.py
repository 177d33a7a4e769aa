"""Whether an algorithm handles what a game has: masked actions, agents that leave."""

import inspect
from collections.abc import Sequence
from typing import get_type_hints

from marlrun.config.plugins import resolve
from marlrun.config.schema import declared, options
from marlrun.runner.build import Kind, Node
from marlrun.types import Spec

_ABILITIES = {
    "has_action_mask": ("handles_action_masks", "masked actions"),
    "agents_leave": ("handles_leaving", "agents that leave"),
}
"""What a Spec may say, the attribute of a learner's class that answers it, and its words."""


def refuse_unable(algo: Node, env: Node, spec: Spec, plugins: Sequence[str]) -> None:
    """Raise ValueError, in one line, unless the algorithm of a node handles the game of another."""
    learner = learner_class(algo.get("_target_"), plugins)
    needs = [ability for name, ability in _ABILITIES.items() if getattr(spec, name)]
    lacking = [words for attribute, words in needs if not getattr(learner, attribute, False)]
    if lacking:
        able = ", ".join(_able([attribute for attribute, _ in needs]))
        if env.get("agents_leave") is True and lacking == ["agents that leave"]:
            able += "; or env.agents_leave=false, where all agents end together"
        raise ValueError(
            f"algo={_name(algo, 'algo')}: does not handle {' and '.join(lacking)}, "
            f"as env={_name(env, 'env')} has them; expected {able}"
        )


def learner_class(target: object, plugins: Sequence[str]) -> object:
    """Return the class of a learner; where a function builds it, the one that its annotation names."""
    make = resolve(target, "algo", plugins)
    return make if inspect.isclass(make) else get_type_hints(make).get("return", make)


def _able(attributes: Sequence[str]) -> list[str]:
    """Return the algorithms of conf/algo whose classes have all of these attributes."""
    return [
        name
        for name in options("algo")
        if all(getattr(learner_class(_target(name, "algo"), ()), key, False) for key in attributes)
    ]


def _name(node: Node, kind: Kind) -> str:
    """Return the name of the first file in conf/ that has the node's class; else the class."""
    target = node["_target_"]
    return next((name for name in options(kind) if _target(name, kind) == target), target)


def _target(name: str, kind: Kind) -> str:
    return declared(f"{kind}/{name}", kind).rules[f"{kind}._target_"].default
