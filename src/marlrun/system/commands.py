"""Commands for messages; each works when it is pasted into a POSIX shell."""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def resume(directory: Path, plugins: Sequence[str] = ()) -> str:
    """Return the command that goes on with a run or a sweep.

    `plugins` are those that the user allowed, not those that a run directory names.
    """
    # OmegaConf would interpolate ${..}.
    run = _plain(directory).replace("${", "\\${")
    words = [f"plugins=[{','.join(plugins)}]"] if plugins else []
    return shlex.join([_program("marlrun"), "mode=resume", f"run={run}", *words])


def tensorboard(directory: Path) -> str:
    """Return the command that shows the curves of a run."""
    return shlex.join([_program("tensorboard"), "--logdir", _plain(directory)])


def _program(name: str) -> str:
    """Return how to call a program of this Python environment, also if that is not activated."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() and shutil.which(name) is None else name


def _plain(path: Path) -> str:
    """Return a path that no program takes for an option, a quoted text or a home directory."""
    text = str(path)
    return text if re.match(r"[\w./]", text) else f"./{text}"
