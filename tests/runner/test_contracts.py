"""Wrong shapes are one sentence before a run begins, not an IndexError within it."""

import pytest
import torch
from runner.compare import record
from runner.fakes import Bandit, BanditPolicy, Walk, config

from marlrun.runner.train import train


class FlatReward(Walk):
    """Pays the team instead of its agents."""

    def step(self, action):
        after = super().step(action)
        return after._replace(reward=after.reward.sum(-1))


class DoubleObs(Walk):
    """Begins in double precision."""

    def reset(self):
        step = super().reset()
        return step._replace(obs=step.obs.double())


class NoRestart(Walk):
    """Forgets to return the step."""

    def restart(self, step):
        super().restart(step)


class OneForAll(Bandit):
    """Chooses one action for all agents."""

    def policy(self, explore, seeds):
        policy = BanditPolicy(self, explore)
        return lambda step: policy(step)[..., 0]


class Forgetful(Bandit):
    """Returns nothing where it has nothing to say."""

    def update(self):
        return super().update() or None


class Scalar(Bandit):
    """Has one loss for all replicas from its second update on."""

    def update(self):
        metrics = super().update()
        if metrics and self.ticks > 3:
            metrics["loss/value"] = metrics["loss/value"].mean()
        return metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env___target_": "runner.test_contracts.FlatReward"},
            "FlatReward.step: reward has shape [2, 2], expected [R, E, N] = [2, 2, 2] (types.Step)",
        ),
        (
            {"env___target_": "runner.test_contracts.DoubleObs"},
            "DoubleObs.reset: obs has dtype float64, expected float32 (types.Step)",
        ),
        (
            {"env___target_": "runner.test_contracts.NoRestart"},
            "NoRestart.restart returned None, expected a Step (types.Step)",
        ),
        (
            {"algo___target_": "runner.test_contracts.OneForAll"},
            "policy: action has shape [2, 2], expected [R, E, N] = [2, 2, 2] (types.Policy)",
        ),
    ],
)
def test_a_broken_promise_is_refused_before_the_run_begins(tmp_path, changes, message):
    with pytest.raises(ValueError) as refused:
        train(config(**changes), tmp_path / "run", [])
    assert str(refused.value) == message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Scalar",
            "update: loss/value has shape [], expected [R] = [2] or [R, N] = [2, 2] (types.Metrics)",
        ),
        ("Forgetful", "update returned None, expected a dict (types.Metrics)"),
    ],
)
def test_wrong_metrics_fail_the_run_with_a_sentence(tmp_path, name, message):
    outcome = train(config(algo___target_=f"runner.test_contracts.{name}"), tmp_path, [])
    assert outcome.status == "failed"
    assert record(tmp_path)["error"] == message
    assert "Traceback" in (tmp_path / "marlrun.log").read_text()


def test_what_is_tried_before_leaves_no_trace_in_the_run(tmp_path, monkeypatch):
    """The run's own environment and policy begin as if nothing had been tried."""
    seen = []
    reset = Walk.reset

    def spied(self):
        step = reset(self)
        seen.append(step.obs)
        return step

    monkeypatch.setattr(Walk, "reset", spied)
    train(config(env_steps=40), tmp_path, [])
    rehearsed, *_, trained = (obs for obs in seen if obs.shape[1] == 2)
    assert torch.equal(rehearsed, trained)
