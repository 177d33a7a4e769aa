"""Several processes on one machine."""

import os
import signal

import pytest
from sweeps.desk import JOBLIB, SMALL, SWEEP, end, members, until

pytestmark = pytest.mark.usefixtures("hangup")

HALF = ["algo=dec_hdrqn", "env.game=climb,penalty", "algo.beta=0.2,0.6", *SMALL]
"""Four of the eight jobs."""


def test_as_many_jobs_at_once_as_you_like_give_the_same_numbers(desk, reference):
    """Every worker does several jobs, so that a seed which outlived its job would show."""
    said = desk.sweeps(*SWEEP, *JOBLIB)
    assert said.code == 0, said.err
    done = desk.jobs()
    assert len(done) == 8 and len({job["pid"] for job in done}) <= 3
    desk.assert_same_as(reference)


def test_kill_the_parent_and_resume(desk, reference):
    with desk.sweeping(*HALF, *JOBLIB) as parent:
        until(desk.in_the_middle)
        os.kill(parent.pid, signal.SIGKILL)
        until(lambda: not members(parent.pid))
    assert desk.statuses().count("finished") < 4
    said = desk.resumes(*JOBLIB)
    assert said.code == 0, said.err
    desk.assert_same_as(reference)
    assert any(desk.record(job).get("resumed") for job in desk.jobs())


@pytest.mark.slow
def test_kill_a_worker_and_resume(desk, reference):
    """Its job has failed, alone: the job beside it goes on, and a new worker does what waits."""
    with desk.sweeping(*HALF, *JOBLIB) as parent:
        victim = until(desk.in_the_middle)[0]
        os.kill(victim["pid"], signal.SIGKILL)
        said = end(parent)
    assert said.code == 1 and "Traceback" not in said.err
    table = said.out.splitlines()
    assert table[1].startswith("failed") and "its process died" in table[1]
    assert desk.jobs()[victim["number"]]["error"] == "its process died"
    assert desk.statuses().count("failed") == 1 and desk.statuses().count("finished") == 3
    others = [job for job in desk.jobs() if job["status"] == "finished"]
    assert not any(desk.record(job).get("resumed") for job in others)
    assert "to go on: marlrun mode=resume run=sweep" in said.out

    assert desk.resumes().code == 0
    desk.assert_same_as(reference)
    before = {path: path.stat().st_mtime_ns for path in desk.sweep.glob("*/*")}
    again = desk.resumes()
    assert again.code == 0 and "all jobs are finished, nothing to do" in again.err
    assert before == {path: path.stat().st_mtime_ns for path in desk.sweep.glob("*/*")}


def kill_twice(group, number):
    os.killpg(group, number)
    os.killpg(group, number)


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.kill, signal.SIGTERM, id="SIGTERM"),
        # The shell says that the terminal is closed, and so does the kernel.
        pytest.param(kill_twice, signal.SIGHUP, id="closed-terminal"),
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_no_orphan_and_loses_nothing(desk, send, number):
    """A terminal sends Ctrl-C to the workers too, which hear of it from the parent once more."""
    long = [*HALF, "env_steps=100000", "checkpoint.every=100"]
    with desk.sweeping(*long, *JOBLIB) as parent:
        until(lambda: len(desk.in_the_middle()) == 2)
        send(parent.pid, number)
        said = end(parent)
        until(lambda: not members(parent.pid))
    assert said.code == 130, said.err
    # loky's tracker of resources dies of SIGHUP, which loky tells the terminal that is gone.
    assert number == signal.SIGHUP or "Traceback" not in said.err, said.err
    assert sorted(desk.statuses()) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert said.out.splitlines()[0].startswith("status")
    stopped = [job for job in desk.jobs() if job["status"] == "interrupted"]
    for job in stopped:
        run = desk.record(job)
        assert run["status"] == "interrupted"
        assert run["env_steps"] == desk.steps_saved(job)
