"""A kill -9 at any moment leaves a directory from which the same run goes on."""

import multiprocessing
import os
import random
import signal
import time

import pytest
from runner.compare import assert_same_run, record
from runner.fakes import config

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["marlrun.runner.train", "runner.fakes"])
JOB = config(env_steps=1500, eval__every=100, checkpoint__every=60, log__every=40)


def work(directory):
    from marlrun.runner.train import train

    train(JOB, directory, [])


def work_and_die(directory, count):
    """Die at the `count`-th time that something is forced to the disk."""
    real = os.fsync

    def fsync(descriptor):
        nonlocal count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync
    work(directory)


def start(target, *arguments):
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "run"
    process = start(work, directory)
    process.join()
    assert process.exitcode == 0
    return directory


def test_killed_at_random_moments(tmp_path, whole):
    moments, kills = random.Random(4), 0
    while True:
        process = start(work, tmp_path)
        process.join(timeout=moments.uniform(0.05, 0.8))
        if not process.is_alive():
            break
        process.kill()
        process.join()
        kills += 1
        time.sleep(0)
    assert process.exitcode == 0
    assert kills >= 3
    assert record(tmp_path)["status"] == "finished"
    assert_same_run(whole, tmp_path)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 22, 31])
def test_killed_while_writing(tmp_path, whole, count):
    process = start(work_and_die, tmp_path, count)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process = start(work, tmp_path)
    process.join()
    assert process.exitcode == 0
    assert_same_run(whole, tmp_path)
