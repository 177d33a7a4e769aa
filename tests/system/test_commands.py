import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from marlrun.cli import main
from marlrun.system import commands

NAMES = [
    "a b",
    "it's",
    "'quoted'",
    '"quoted"',
    "?",
    "-m",
    "~",
    "$HOME",
    "`date`",
    "a;b&c|d",
    "a=b,c",
    "[x]",
    "{y: 1}",
    "#1",
    "ünïcode",
    "*",
    "(0,1)",
    "@:x",
    "!!",
    "x\\y",
    "x\\'y",
    "x\\",
    "${name}",
]


def pasted(command):
    """Return the words that a POSIX shell makes of a command, without the program."""
    script = f"set -- {command}; printf '%s\\0' \"$@\""
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return shell.stdout.split("\0")[1:-1]


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_on_with_a_run_names_its_directory_however_it_is_called(
    name, tmp_path, monkeypatch, capsys
):
    """The words pass the shell, then the command line's parser and Hydra's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["marlrun", *pasted(commands.resume(Path(name)))])
    as_typed = name if re.match(r"[\w./]", name) else f"./{name}"
    assert main.main() == 2
    assert capsys.readouterr().err == f"marlrun: run={as_typed}: no such directory\n"
    Path(name).mkdir()
    assert main.main() == 2
    assert f"run={as_typed}: expected a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a b", "-x", "~", "'q'"])
def test_a_directory_of_curves_is_no_option_and_no_home(name):
    option, directory = pasted(commands.tensorboard(Path(name)))
    assert option == "--logdir"
    assert Path(directory) == Path(name) and directory[0] not in "-~'"


def test_plugins_that_were_allowed_are_allowed_again():
    command = commands.resume(Path("run"), ["mypkg", "other.sub"])
    assert command == "marlrun mode=resume run=run 'plugins=[mypkg,other.sub]'"
    assert shlex.split(command)[-1] == "plugins=[mypkg,other.sub]"


def test_a_program_that_is_not_on_the_path_is_called_by_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert commands.resume(Path("run")) == "marlrun mode=resume run=run"
    (tmp_path / "marlrun").touch(0o755)
    assert commands.resume(Path("run")) == f"{tmp_path / 'marlrun'} mode=resume run=run"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.resume(Path("run")) == "marlrun mode=resume run=run"
