import sys

from runner.fakes import config

from marlrun.runner.console import Reporter, write_directory
from marlrun.runner.train import train


def test_plain_lines_where_there_is_no_terminal(tmp_path, capsys):
    train(config(), tmp_path, [])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [f"{at}/120" for at in (0, 40, 80, 120)]
    assert "\x1b" not in "".join(lines)
    assert "steps/s" in lines[-1]


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
