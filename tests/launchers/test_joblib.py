"""Several processes on one machine."""

import os
import signal

import pytest
from launchers.sweeps import (
    JOBLIB,
    SMALL,
    SWEEP,
    assert_same_sweep,
    end,
    in_the_middle,
    jobs,
    marlrun,
    members,
    started,
    statuses,
    steps_saved,
    until,
)
from runner.compare import record

HALF = ["algo=dec_hdrqn", "env.game=climb,penalty", "algo.beta=0.2,0.6", *SMALL]
"""Four of the eight jobs."""


def test_as_many_jobs_at_once_as_you_like_give_the_same_numbers(tmp_path, reference):
    """Every worker does several jobs, so that a seed which outlived its job would show."""
    said = marlrun(tmp_path, "-m", *SWEEP, *JOBLIB, "hydra.sweep.dir=sweep")
    assert said.code == 0, said.err
    done = jobs(tmp_path / "sweep")
    assert len(done) == 8 and len({job["pid"] for job in done}) <= 3
    assert_same_sweep(tmp_path / "sweep", reference)


def test_kill_the_parent_and_resume(tmp_path, reference):
    sweep = tmp_path / "sweep"
    with started(tmp_path, "-m", *HALF, *JOBLIB, "hydra.sweep.dir=sweep") as parent:
        until(lambda: in_the_middle(sweep))
        os.kill(parent.pid, signal.SIGKILL)
        until(lambda: not members(parent.pid))
    assert statuses(sweep).count("finished") < 4
    said = marlrun(tmp_path, "mode=resume", "run=sweep", *JOBLIB)
    assert said.code == 0, said.err
    assert_same_sweep(sweep, reference)
    assert any(record(sweep / job["directory"]).get("resumed") for job in jobs(sweep))


@pytest.mark.slow
def test_kill_a_worker_and_resume(tmp_path, reference):
    """Its job has failed; joblib takes the other workers down, whose jobs are begun again."""
    sweep = tmp_path / "sweep"
    with started(tmp_path, "-m", *HALF, *JOBLIB, "hydra.sweep.dir=sweep") as parent:
        victim = until(lambda: in_the_middle(sweep))[0]
        os.kill(victim["pid"], signal.SIGKILL)
        said = end(parent)
    assert said.code == 1 and "Traceback" not in said.err
    table = said.out.splitlines()
    assert table[1].startswith("failed") and "its process died" in table[1]
    assert jobs(sweep)[victim["number"]]["error"] == "its process died"
    assert statuses(sweep).count("failed") + statuses(sweep).count("finished") == 4
    assert "to go on: marlrun mode=resume run=sweep" in said.out

    assert marlrun(tmp_path, "mode=resume", "run=sweep").code == 0
    assert_same_sweep(sweep, reference)
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/*")}
    again = marlrun(tmp_path, "mode=resume", "run=sweep")
    assert again.code == 0 and "all jobs are finished, nothing to do" in again.err
    assert before == {path: path.stat().st_mtime_ns for path in sweep.glob("*/*")}


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.kill, signal.SIGTERM, id="SIGTERM"),
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_no_orphan_and_loses_nothing(tmp_path, send, number):
    """A terminal sends Ctrl-C to the workers too, which hear of it from the parent once more."""
    sweep = tmp_path / "sweep"
    long = [*HALF, "env_steps=100000", "checkpoint.every=100"]
    with started(tmp_path, "-m", *long, *JOBLIB, "hydra.sweep.dir=sweep") as parent:
        until(lambda: len(in_the_middle(sweep)) == 2)
        send(parent.pid, number)
        said = end(parent)
        assert members(parent.pid) == []
    assert said.code == 130 and "Traceback" not in said.err, said.err
    assert sorted(statuses(sweep)) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert said.out.splitlines()[0].startswith("status")
    stopped = [job for job in jobs(sweep) if job["status"] == "interrupted"]
    for job in stopped:
        run = record(sweep / job["directory"])
        assert run["status"] == "interrupted"
        assert run["env_steps"] == steps_saved(sweep, job)
