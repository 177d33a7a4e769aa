"""How many functions and files of marlrun are entered on two ways through it.

    python benchmarks/hops.py       of the marlrun that Python finds: one line of JSON

typed: from the words of a command line, with `algo.beta=0.2` among them, to the constructor which
gets that value. update: from the step of the environment after which dec_hdrqn learns for the first
time to the end of that update.
"""

import json
import sys
import tempfile
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from marlrun import entry

ROOT = Path(entry.__file__).parent
WORDS = ["algo=dec_hdrqn", "env=target_capture", "env.size=3", "env.horizon=5", "algo.beta=0.2"]
SMALL = ["algo.learning_starts=0", "env_steps=170", "device=cpu"]


class Hops:
    """What `sys.setprofile` tells of one run."""

    def __init__(self) -> None:
        self.entered: set[CodeType] = set()
        self.counts: dict[str, dict[str, int]] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take note of a function that is entered or left."""
        code = frame.f_code
        path = Path(code.co_filename)
        if not path.is_relative_to(ROOT) or event not in ("call", "return"):
            return
        place = (path.parent.name, code.co_qualname)
        if event == "call":
            if place == ("envs", "TargetCapture.step"):
                self.entered.clear()
            # Bodies of modules and classes, and comprehensions, are no functions.
            if "<" not in code.co_name and "__qualname__" not in code.co_names:
                self.entered.add(code)
            if place == ("algos", "DecHDRQN.__init__"):
                self._count("typed")
        elif place == ("algos", "DecHDRQN.update") and frame.f_locals["self"].updates:
            self._count("update")
            sys.setprofile(None)

    def _count(self, name: str) -> None:
        files = {code.co_filename for code in self.entered}
        self.counts[name] = {"functions": len(self.entered), "files": len(files)}


if __name__ == "__main__":
    hops = Hops()
    with tempfile.TemporaryDirectory() as directory:
        sys.argv = ["marlrun", *WORDS, *SMALL, f"hydra.run.dir={directory}/run"]
        sys.setprofile(hops)
        code = entry.marlrun()
    sys.stdout.write(f"{json.dumps(hops.counts)}\n")
    sys.exit(code)
