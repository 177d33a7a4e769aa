"""The harness itself: it sees what went wrong, and each kind of case can be drawn."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from report import damage
from runner.fakes import config

from marlrun.runner.train import train
from reliability.desk import Ended, complaint, contents, difference


@pytest.mark.parametrize(
    ("ended", "codes", "expected"),
    [
        (Ended(None, "", "", 120.0), [0], "hangs for 120 s: (said nothing)"),
        (Ended(1, "", "Traceback (most recent call last):\nOh: no", 1.0), [1], "traceback: Oh: no"),
        (Ended(-9, "", "", 1.0), [0, 130], "exit -9, expected one of [0, 130]: (said nothing)"),
        (Ended(2, "", "oh no", 1.0), [2], "no single line of refusal: 'oh no' ''"),
        (Ended(2, "", "marlrun: x: no such key\n", 1.0), [2], None),
        (Ended(0, "done", "", 1.0), [0], None),
    ],
)
def test_what_is_wrong_with_an_end_is_seen(ended, codes, expected):
    assert complaint(ended, codes) == expected


def test_a_run_with_another_number_is_seen(tmp_path):
    train(config(), tmp_path / "run", [])
    shutil.copytree(tmp_path / "run", tmp_path / "same")
    assert difference(tmp_path / "run", tmp_path / "same") is None
    log = tmp_path / "same/metrics.jsonl"
    log.write_text(log.read_text().replace('"loss/value": ', '"loss/value": 1', 1))
    assert difference(tmp_path / "run", tmp_path / "same").startswith("inexact: AssertionError")
    log.unlink()
    assert difference(tmp_path / "run", tmp_path / "same").startswith("inexact: FileNotFoundError")


def child(accident: str, top: Path) -> subprocess.CompletedProcess:
    """Write three files, with an accident."""
    code = f"""
from pathlib import Path
from reliability import accidents
top = Path({str(top)!r})
(accidents.{accident})()
for name in "abc":
    (top / name).write_text(name)
"""
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True)


def test_a_process_is_killed_just_before_the_chosen_file_event(tmp_path):
    ended = child("killed_at(top, 3)", tmp_path)
    assert ended.returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_disk_is_full_from_the_chosen_file_event_on(tmp_path):
    ended = child("full_from(top, 2)", tmp_path)
    assert "OSError: [Errno 28] No space left on device" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_file_events_are_counted(tmp_path):
    (tmp_path / "top").mkdir()
    assert child(f"counted(top, Path({str(tmp_path / 'count')!r}))", tmp_path / "top").stderr == ""
    assert (tmp_path / "count").read_text() == "3"


def test_the_same_seed_does_the_same_damage(tmp_path):
    path = tmp_path / "run.json"
    for seed in range(60):
        results = []
        for _ in range(2):
            path.write_text('{"a": [1, 2], "b": {"c": "d"}}\n')
            name = damage.damage(path, seed)
            results.append((name, contents(tmp_path)))
            tmp_path.chmod(0o700)
            is_directory = path.is_dir() and not path.is_symlink()
            path.rmdir() if is_directory else path.unlink(missing_ok=True)
        assert results[0] == results[1]


@pytest.mark.slow
def test_some_of_every_kind_hold(tmp_path):
    """The whole is `make reliability`."""
    words = ["-m", "reliability", "--seed", "12345", "--share", "0.02"]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run([sys.executable, *words], env=here, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert "All held." in ended.stdout
