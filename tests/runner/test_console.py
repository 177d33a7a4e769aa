import sys
import time
from pathlib import Path

import pytest
from runner.compare import hyperparameters
from runner.fakes import config

from marlrun.runner.console import Reporter, announcing, introduce, write_directory
from marlrun.runner.train import train


def test_plain_lines_where_there_is_no_terminal(tmp_path, capsys):
    train(config(), tmp_path, [])
    said = capsys.readouterr().err.splitlines()
    lines = said[6:]
    assert [line.partition(":")[0] for line in said[:6]] == [
        *("run directory", "curves", "device", "exact values", "settings", "best.pt")
    ]
    assert [line.split()[0] for line in lines] == [f"{at}/120" for at in (0, 40, 80, 120)]
    assert "\x1b" not in "".join(lines)
    assert "steps/s" in lines[-1]


CHOSEN = {"algo": "a", "env": "e"}


@pytest.mark.parametrize(
    ("choices", "settings"),
    [
        ({**CHOSEN, "tuned": "a_e"}, "tuned for a on e by conf/tuned/a_e.yaml"),
        ({**CHOSEN, "tuned": None}, "nothing is tuned for a on e: general defaults"),
        (CHOSEN, "as stored"),
    ],
)
def test_a_run_introduces_itself(capsys, choices, settings):
    exact = {"optimum": 11.0, "random": -3.4444}
    introduce(Path("x"), {"choices": choices}, "cpu", "the newest", exact, brief=False)
    assert capsys.readouterr().err.splitlines() == [
        "run directory: x",
        "curves: tensorboard --logdir x/tb",
        "device: cpu",
        "exact values: optimum 11, random -3.444",
        f"settings: {settings}",
        "best.pt: the newest",
    ]
    introduce(Path("x"), {"choices": choices}, "cpu", "the newest", None, brief=True)
    unknown = "none, this game cannot be solved; mode=exact says why"
    assert capsys.readouterr().err == (
        f"run directory: x; device: cpu; exact values: {unknown}; settings: {settings}\n"
    )


@pytest.mark.parametrize(("moment", "said"), [(0.01, "solving\n"), (9.0, "")])
def test_only_what_takes_long_is_announced(capsys, monkeypatch, moment, said):
    monkeypatch.setattr("marlrun.runner.console._MOMENT", moment)
    with announcing("solving"):
        time.sleep(0.1)
    assert capsys.readouterr().err == said


def test_a_job_of_a_sweep_introduces_itself_in_one_line(tmp_path, capsys):
    train(config(), tmp_path / "0", [], tmp_path)
    assert capsys.readouterr().err.count("\n") == 5  # and four evaluations


def test_tensorboard_shows_the_name_among_the_hyperparameters(tmp_path):
    train(config() | {"name": "wide net"}, tmp_path, [])
    for board in tmp_path.glob("tb/seed_*"):
        assert hyperparameters(board)["name"] == "wide net"


def test_a_live_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    steps = 0
    reporter = Reporter(1000, lambda: steps, num_replicas=2)
    with reporter.showing():
        steps = 250
        reporter.evaluated([1.0, 3.0])
    shown = capsys.readouterr().err
    assert "250/1,000 env steps" in shown
    assert "steps/s" in shown
    assert "eval/return_mean 2.000" in shown


@pytest.mark.parametrize("total", [10**18, 10**400])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_budget_is_too_large_to_show(total, terminal, capsys, monkeypatch):
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "2000")
    now, steps = 0, 0
    monkeypatch.setattr("marlrun.runner.console.time.monotonic_ns", lambda: now)
    reporter = Reporter(total, lambda: steps, num_replicas=3)
    with reporter.showing():
        now, steps = 2 * 10**9, 1000
        reporter.evaluated([1.0])
    shown = capsys.readouterr().err
    assert f"{total:,} env steps" in shown
    seconds = (total - 1000) // 500
    assert f"1,500 steps/s, {seconds // 86400:,} days, " in shown


def test_the_time_left_is_read_like_a_clock(capsys, monkeypatch):
    def shown(total):
        now, steps = iter([0, 10**9]), 0
        monkeypatch.setattr("marlrun.runner.console.time.monotonic_ns", lambda: next(now))
        reporter = Reporter(total, lambda: steps, num_replicas=1)
        with reporter.showing():
            steps = 1
            reporter.evaluated([1.0])
        return capsys.readouterr().err.rpartition("steps/s, ")[2]

    assert shown(1) == "0:00:00 left\n"
    assert shown(3600 + 2 * 60 + 4) == "1:02:03 left\n"
    assert shown(86400 + 1) == "1 day, 0:00:00 left\n"
    assert shown(2 * 86400 + 60) == "2 days, 0:00:59 left\n"


def test_the_tensorboard_command_works_when_it_is_pasted(tmp_path, capsys, monkeypatch):
    def shown():
        write_directory(tmp_path / "my run")
        return capsys.readouterr().out.splitlines()[1]

    rest = f"--logdir '{tmp_path / 'my run/tb'}'"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shown() == f"curves: tensorboard {rest}"
    (tmp_path / "tensorboard").touch(0o755)
    assert shown() == f"curves: {tmp_path / 'tensorboard'} {rest}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shown() == f"curves: tensorboard {rest}"
