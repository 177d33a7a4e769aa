"""Every published result is a sweep that the command line takes, and its jobs run."""

import math

import pytest
import torch
from paper2.experiments import asked, composed, jobs
from paper2.worlds import at_work
from runner.compare import rows
from test_all_configs import make_small

from marlrun.config.schema import options
from marlrun.runner.train import train

GOSSIP = "experiment/graphs=gossip"


def small(config):
    """Return a job made small where it can be."""
    make_small(config)
    config["env"] |= {"num_envs": 1} | ({"size": 3} if "size" in config["env"] else {})
    config["log"]["every"] = 20
    unit = "env_steps" if config["updates"] is None else "updates"
    return config | {"replicas": 2, unit: 40, "device": "cpu"}


def trained(overrides, directory):
    """Train; return the log."""
    outcome = train(small(composed(overrides)), directory, [])
    assert outcome.status == "finished", outcome.error
    return rows(directory)


@pytest.mark.parametrize("name", options("experiment"))
def test_all_its_jobs_are_taken_and_the_first_and_the_last_run(name, tmp_path):
    sweep = asked(name)
    assert len(sweep) > 1
    for number in (0, -1):
        log = trained(sweep[number], tmp_path / str(number))
        assert any("eval/return_mean" in row for row in log)
        assert all(math.isfinite(value) for row in log for value in row.values())


@pytest.mark.parametrize(("algo", "sent"), [("q", ""), ("v", "reward_")])
def test_what_tells_of_agreement_is_in_the_log(algo, sent, tmp_path):
    """Claim 2a needs nothing but the runs and marlrun-report."""
    (job,) = asked("paper2_agreement", f"algo=networked_ac_{algo}", "env=public_goods", GOSSIP)
    assert any(f"consensus/{sent}disagreement" in row for row in trained(job, tmp_path / "run"))


@pytest.mark.parametrize("number", [1, 2])
def test_policies_are_frozen_while_critics_learn(number):
    at = at_work(jobs(f"paper2_fixed_point_{number}", "experiment/games=public_goods"))
    at.run(20)
    assert torch.equal(at.learner.actor.parameters, torch.zeros_like(at.learner.actor.parameters))
    assert (at.learner.critic.parameters != 0).any(-1).all()


def test_what_the_command_line_refuses_is_refused():
    with pytest.raises(ValueError, match=r"^algo.steps.actor=-1: expected float \[0, inf\)"):
        asked("paper2_fixed_point_1", "algo.steps.actor=-1")
