"""Joblib's worker processes, without anything heavy to do."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from sweeps.desk import OURS, members, until

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")

HEAD = """
import os, signal, sys, time
from pathlib import Path
from joblib import Parallel, delayed
from marlrun.sweeps.joblib_workers import Workers

def said(word):
    Path(f"{word}.{os.getpid()}").touch()

def task(number):
    said("begun")
    if number == 0:
        return os.getpid()
    %s

Workers().use()
pids = Parallel(n_jobs=2, backend="loky")(delayed(task)(number) for number in range(%d))
print([getattr(pid, "status", pid) for pid in pids])
"""
BLOCKED = "os.read(os.pipe()[0], 1)"
BLOCKED_IN_A_JOB = f"signal.signal(signal.SIGTERM, lambda *_: said('asked')); {BLOCKED}"
"""As training answers SIGTERM, and a file system that has gone away."""


@contextmanager
def working(place, rest, tasks):
    """Lend the process of a program that works with two workers; nothing of it is left."""
    words = [sys.executable, "-c", HEAD % (rest, tasks)]
    options = {"cwd": place, "env": os.environ | OURS, "start_new_session": True, "text": True}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as it:
        try:
            yield it
        finally:
            if members(it.pid):
                os.killpg(it.pid, signal.SIGKILL)


def seconds_until_nothing_is_left(process):
    """Kill the parent; return how long it takes until its workers are gone."""
    os.kill(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: not members(process.pid))
    return time.monotonic() - killed


def test_workers_that_wait_or_are_blocked_end_with_their_parent(tmp_path):
    with working(tmp_path, BLOCKED, 2) as process:
        until(lambda: len(list(tmp_path.glob("begun.*"))) == 2)
        time.sleep(1)  # the first waits for more to do now
        assert seconds_until_nothing_is_left(process) < 10


@pytest.mark.slow
def test_a_worker_whose_job_cannot_stop_is_given_up(tmp_path):
    with working(tmp_path, BLOCKED_IN_A_JOB, 2) as process:
        until(lambda: len(list(tmp_path.glob("begun.*"))) == 2)
        time.sleep(1)
        assert 20 <= seconds_until_nothing_is_left(process) < 40
    assert len(list(tmp_path.glob("asked.*"))) == 1


def test_the_death_of_a_worker_is_the_end_of_its_task_alone(tmp_path):
    """Task 1 kills its worker while 2 works; 3 is done by one of two that are still there."""
    rest = "number == 1 and os.kill(os.getpid(), signal.SIGKILL); time.sleep(2); return number"
    with working(tmp_path, rest, 4) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("[") and out.endswith(", <JobStatus.UNKNOWN: 0>, 2, 3]\n")


def test_what_a_task_raises_stops_no_other(tmp_path):
    with working(tmp_path, "raise KeyboardInterrupt if number == 1 else OSError", 3) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.endswith(", <JobStatus.FAILED: 2>, <JobStatus.FAILED: 2>]\n")
