"""Slurm's launcher, by submitit's executor for this machine."""

import os
import signal

import pytest
from sweeps.desk import SMALL, SWEEP, end, until

LOCAL = "hydra/launcher=submitit_local"


@pytest.mark.slow
def test_jobs_of_slurm_give_the_same_numbers(desk, reference):
    said = desk.sweeps(*SWEEP, LOCAL)
    assert said.code == 0, said.err
    assert len({job["pid"] for job in desk.jobs()}) == 8
    desk.assert_same_as(reference)


@pytest.mark.slow
def test_a_preempted_job_saves_and_is_requeued(desk, reference):
    """Slurm sends USR2; submitit's own answer would take away what was not saved."""
    one = ["algo=dec_hdrqn", "env.game=climb", "algo.beta=0.2", *SMALL]
    with desk.sweeping(*one, LOCAL) as parent:
        (job,) = until(desk.in_the_middle)
        os.kill(job["pid"], signal.SIGUSR2)
        said = end(parent)
    assert said.code == 0, said.err
    (again,) = desk.jobs()
    assert again["pid"] != job["pid"]
    (resumed,) = desk.record(job)["resumed"]
    # The last checkpoint that was due is not where it goes on, but where it was stopped.
    assert resumed["env_steps"] > 0
    desk.assert_same_as(reference)


def test_preempted_before_any_checkpoint_was_due(desk):
    """What was done since the last checkpoint is not lost."""
    long = [*SMALL, "replicas=1", "env_steps=100000", "checkpoint.every=100000", "log.every=10"]
    with desk.sweeping("algo=dec_hdrqn", *long, LOCAL) as parent:
        log = until(lambda: next(desk.sweep.glob("0*/metrics.jsonl"), None))
        until(lambda: log.read_bytes().count(b"\n") > 20)
        (job,) = desk.jobs()
        os.kill(job["pid"], signal.SIGUSR2)
        until(lambda: desk.record(job).get("resumed"))
        assert desk.steps_saved(job) > 100
        os.kill(parent.pid, signal.SIGTERM)
        said = end(parent)
    assert said.code == 130 and desk.statuses() == ["interrupted"], said.err
    assert desk.record(job)["resumed"][0]["env_steps"] > 100
