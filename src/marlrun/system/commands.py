"""Commands that are printed: each works when it is pasted into a POSIX shell."""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def resume(directory: Path, plugins: Sequence[str] = ()) -> str:
    """Return the command that goes on with a run or a sweep.

    `plugins` are those that the user allowed: what a run directory names is no such permission.
    """
    # OmegaConf would replace ${..} by something else.
    run = _plain(directory).replace("${", "\\${")
    allowed = [f"plugins=[{','.join(plugins)}]"] if plugins else []
    return shlex.join([_program("marlrun"), "mode=resume", f"run={run}", *allowed])


def tensorboard(directory: Path) -> str:
    """Return the command that shows the curves of a run."""
    return shlex.join([_program("tensorboard"), "--logdir", _plain(directory)])


def _program(name: str) -> str:
    """Return how to call a program of this environment, also where that is not activated."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() and shutil.which(name) is None else name


def _plain(path: Path) -> str:
    """Return a path whose first letter means nothing: not an option, a quote, a home directory."""
    text = str(path)
    return text if re.match(r"[\w./]", text) else f"./{text}"
