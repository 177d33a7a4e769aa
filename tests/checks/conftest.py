"""The command line in this process."""

import logging
import sys
import tempfile

import pytest

from marlrun.cli import main


@pytest.fixture
def marlrun(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["marlrun", *argv])
        code = main.main()
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return run
