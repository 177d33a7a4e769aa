"""PettingZoo: games of marlrun as `ParallelEnv`, and foreign games as environments of marlrun."""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["parallel_env"]

if TYPE_CHECKING:
    from marlrun.envs.pettingzoo.export import parallel_env
else:

    def __getattr__(name: str):
        """Import the way out when it is used: a process that plays foreign games needs no torch."""
        if name in __all__:
            return getattr(import_module("marlrun.envs.pettingzoo.export"), name)
        raise AttributeError(f"module 'marlrun.envs.pettingzoo' has no attribute {name!r}")
