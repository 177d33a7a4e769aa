"""The door of the exact room."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marlrun import exact

ENVS = Path(__file__).parents[2] / "conf" / "env"
CAPTURE = yaml.safe_load((ENVS / "target_capture.yaml").read_text())


@pytest.mark.parametrize("name", ["matrix_game", "meeting_grid", "public_goods", "target_capture"])
def test_solves_as_configured(name: str):
    values = exact.solve(yaml.safe_load((ENVS / f"{name}.yaml").read_text()))
    assert values is not None
    assert values["random"] < values["optimum"]


def test_too_large_is_refused_with_the_number():
    large = CAPTURE | {"num_agents": 5}
    assert exact.solve(large) is None
    assert "1,048,576 joint states x 3,125 joint actions x 60 steps" in exact.why_not(large)


def test_the_papers_own_random_game_is_too_large():
    large = yaml.safe_load((ENVS / "networked_mdp.yaml").read_text())
    assert exact.solve(large) is None
    assert "20 states x 1,048,576 joint actions x 40 numbers" in exact.why_not(large)
    small = exact.solve(large | {"num_agents": 10})
    assert small is not None and 1.95 < small["random"] < 2.05 < small["optimum"]


def test_foreign_game_is_refused_by_name():
    foreign = {"_target_": "mypkg.envs.Chess", "size": 8}
    assert exact.solve(foreign) is None
    assert "mypkg.envs.Chess" in exact.why_not(foreign)


def test_flicker_and_copies_change_nothing():
    assert exact.solve(CAPTURE) == exact.solve(CAPTURE | {"flicker": 0.3, "num_envs": 9})


def test_needs_no_torch():
    check = "import sys, marlrun.exact; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
