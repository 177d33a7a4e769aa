"""Whether a class and its YAML file name the same keys, each with its type."""

import inspect
from typing import Literal

from marlrun.checks.compare import Broken
from marlrun.checks.subject import Subject

_HANDED_OVER = {
    "env": {"seeds", "device", "num_envs", "plugins"},
    "algo": {"spec", "seeds", "device", "num_envs", "graph", "make_env"},
}
"""What the runner gives to every class, besides the keys of its YAML."""


def check_keys(subject: Subject, kind: Literal["algo", "env"]) -> None:
    """Raise Broken unless all keys of `kind` have a type and all parameters of its class a key."""
    untyped = [key for key in subject.untyped if key.startswith(f"{kind}.")]
    if untyped:
        raise Broken(
            f"{', '.join(untyped)}: expected `# TYPE: meaning` behind it, got no such comment"
        )
    node = subject.job.algo if kind == "algo" else subject.job.env
    parameters = inspect.signature(subject.constructor(kind)).parameters.values()
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        # `settings` takes all keys that no other parameter takes: `build` knows what it misses.
        and parameter.name not in _HANDED_OVER[kind] | {"settings"} | set(node)
    ]
    if missing:
        raise Broken(f"{', '.join(missing)}: expected a key of this name in the YAML, got none")
