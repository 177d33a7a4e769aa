"""What tests of several rooms need."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture
def hangup():
    """A terminal that closes and Ctrl-C are heard, also where the tests were begun by nohup or by &."""
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def activated(monkeypatch):
    """The environment is activated: commands are printed without the directory of the program."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)


@pytest.fixture
def one_thread():
    """As a job has (`threads=1`): with more, products are cut into other pieces in company."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
