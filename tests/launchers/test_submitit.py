"""Slurm's launcher, by submitit's executor for this machine."""

import os
import signal

import pytest
from launchers.sweeps import (
    SMALL,
    SWEEP,
    assert_same_sweep,
    end,
    in_the_middle,
    jobs,
    marlrun,
    started,
    statuses,
    steps_saved,
    until,
)
from runner.compare import record

LOCAL = "hydra/launcher=submitit_local"


@pytest.mark.slow
def test_jobs_of_slurm_give_the_same_numbers(tmp_path, reference):
    said = marlrun(tmp_path, "-m", *SWEEP, LOCAL, "hydra.sweep.dir=sweep")
    assert said.code == 0, said.err
    assert len({job["pid"] for job in jobs(tmp_path / "sweep")}) == 8
    assert_same_sweep(tmp_path / "sweep", reference)


@pytest.mark.slow
def test_a_preempted_job_saves_and_is_requeued(tmp_path, reference):
    """Slurm sends USR2; submitit's own answer would take away what was not saved."""
    sweep = tmp_path / "sweep"
    one = ["algo=dec_hdrqn", "env.game=climb", "algo.beta=0.2", *SMALL]
    with started(tmp_path, "-m", *one, LOCAL, "hydra.sweep.dir=sweep") as parent:
        (job,) = until(lambda: in_the_middle(sweep))
        os.kill(job["pid"], signal.SIGUSR2)
        said = end(parent)
    assert said.code == 0, said.err
    (again,) = jobs(sweep)
    assert again["pid"] != job["pid"]
    (resumed,) = record(sweep / job["directory"])["resumed"]
    # The last checkpoint that was due is not where it goes on, but where it was stopped.
    assert resumed["env_steps"] > 0
    assert_same_sweep(sweep, reference)


def test_preempted_before_any_checkpoint_was_due(tmp_path):
    """What was done since the last checkpoint is not lost."""
    sweep = tmp_path / "sweep"
    long = [*SMALL, "replicas=1", "env_steps=100000", "checkpoint.every=100000", "log.every=10"]
    with started(tmp_path, "-m", "algo=dec_hdrqn", *long, LOCAL, "hydra.sweep.dir=sweep") as parent:
        log = until(lambda: next(sweep.glob("0*/metrics.jsonl"), None))
        until(lambda: log.read_bytes().count(b"\n") > 20)
        (job,) = jobs(sweep)
        os.kill(job["pid"], signal.SIGUSR2)
        until(lambda: record(sweep / job["directory"]).get("resumed"))
        assert steps_saved(sweep, job) > 100
        os.kill(parent.pid, signal.SIGTERM)
        said = end(parent)
    assert said.code == 130 and statuses(sweep) == ["interrupted"], said.err
    assert record(sweep / job["directory"])["resumed"][0]["env_steps"] > 100
