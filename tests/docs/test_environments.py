"""docs/environments.md: what stands on the page is written, run and learned from the page itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/environments.md").read_text()


def blocks(section: str, language: str) -> list[str]:
    """Return the blocks of code in a language that stand in a section of the page."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, who has marlrun installed."""
    scripts = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    settings = {"PATH": scripts, "OMP_NUM_THREADS": "1", "PYTHONPATH": "."}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=directory, env=os.environ | settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_batched_game_is_checked_trained_and_played(tmp_path: Path):
    section = "A batched game of ours"
    game, play = blocks(section, "python")
    (keys,) = blocks(section, "yaml")
    check, train = blocks(section, "sh")
    for path, content in {
        "mygames/__init__.py": "",
        "mygames/remember.py": game,
        "conf/env/remember.yaml": keys,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    said = run(["bash", "-ec", check], tmp_path).stdout
    summary = json.loads(said.splitlines()[-1])
    assert summary["failed"] == [] and summary["passed"] >= 12, said
    assert "nothing in it is random" not in said
    said = run(["bash", "-ec", train], tmp_path).stdout
    (mean,) = re.findall(r"^eval/return_mean +(\S+)", said, re.MULTILINE)
    assert float(mean) >= 0.95
    said = run([sys.executable, "-W", "error", "-c", play], tmp_path).stdout
    assert re.fullmatch(r"\{'agent_0': [01]\.0, 'agent_1': [01]\.0\}\n", said), said


def test_a_foreign_game_is_checked_and_trained(tmp_path: Path):
    section = "A foreign PettingZoo game"
    (game,), (keys,) = blocks(section, "python"), blocks(section, "yaml")
    _, commands = blocks(section, "sh")
    for path, content in {
        "mygames/__init__.py": "",
        "mygames/echo.py": game,
        "conf/env/echo.yaml": keys,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    said = run(["bash", "-ec", commands], tmp_path).stdout
    assert '"failed": []' in said, said
    (mean,) = re.findall(r"^eval/return_mean +(\S+)", said, re.MULTILINE)
    assert float(mean) >= 4.5
    words = "algo=random env=echo plugins=[mygames] env_steps=1000 --config-dir conf"
    said = run(["marlrun", *words.split()], tmp_path).stdout
    (mean,) = re.findall(r"^eval/return_mean +(\S+)", said, re.MULTILINE)
    assert abs(float(mean) - 5 / 16) < 0.15


def test_our_games_in_pettingzoo(tmp_path: Path):
    (script,) = blocks("Our games in PettingZoo", "python")
    run([sys.executable, "-W", "error", "-c", script], tmp_path)
