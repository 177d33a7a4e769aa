"""A kill -9 at any moment leaves a directory from which the same run goes on."""

import multiprocessing
import os
import random
import signal

import pytest
from runner.compare import assert_same_run, record
from runner.fakes import config

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["marlrun.runner.train", "runner.fakes"])


def work(directory, env_steps):
    from marlrun.runner.train import train

    job = config(env_steps=env_steps, eval__every=100, checkpoint__every=60, log__every=40)
    train(job, directory, [])


def work_for(seconds, directory, env_steps):
    """Die after some time, by a signal that nobody handles: the process ends where it is."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    work(directory, env_steps)


def work_until_write(count, directory, env_steps):
    """Die when something is forced to the disk for the `count`-th time."""
    real = os.fsync

    def fsync(descriptor):
        nonlocal count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync
    work(directory, env_steps)


def run(target, *arguments):
    """Return how a process of its own ends."""
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def test_killed_at_random_moments(tmp_path):
    assert run(work, tmp_path / "whole", 600) == 0
    moments, kills = random.Random(4), 0
    while run(work_for, moments.uniform(0.02, 0.15 + 0.1 * kills), tmp_path / "cut", 600) != 0:
        kills += 1
    assert kills >= 1
    assert record(tmp_path / "cut")["status"] == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    work(directory, 200)
    return directory


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 18])
def test_killed_while_writing(tmp_path, whole, count):
    assert run(work_until_write, count, tmp_path, 200) == -signal.SIGKILL
    work(tmp_path, 200)
    assert_same_run(whole, tmp_path)
