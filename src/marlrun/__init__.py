"""Config-driven experiments in decentralised multi-agent reinforcement learning.

From Python: `load` what a run has learned, `train` a run, list all `runs`; see docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from marlrun.version import __version__

__all__ = ["__version__", "load", "runs", "train"]

if TYPE_CHECKING:
    from marlrun.api import load, runs, train
else:

    def __getattr__(name: str):
        """Import Python's door when it is used: PyTorch and Hydra take seconds."""
        if name in __all__:
            return getattr(import_module("marlrun.api"), name)
        raise AttributeError(f"module 'marlrun' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
