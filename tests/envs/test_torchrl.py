"""TorchRL takes our games: its own check of specs, and rollouts that equal our numbers."""

import os
import subprocess
import sys
from pathlib import Path

from envs.games import EXPORTS

TESTS = Path(__file__).parents[1]


def test_every_game_is_the_same_in_torchrl():
    ignored = "ignore:PettingZoo in TorchRL is tested using version:UserWarning"
    command = [sys.executable, "-W", "error", "-W", ignored, TESTS / "envs/torchrl_rollouts.py"]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("equal ")]
    assert said == [" ".join(("equal", name, *changes)) for name, changes in EXPORTS]
