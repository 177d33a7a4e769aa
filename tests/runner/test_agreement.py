"""How far recovered rewards agree with the true one, on plays of a small game."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from runner.compare import assert_same_run
from runner.fakes import Bandit, Walk, config

from marlrun.data.demonstrations import Episode, read, write
from marlrun.runner.agreement import Agreement, agreement, distance, return_agreement, rewards
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.plays import demonstrated, num_episodes, record
from marlrun.runner.train import resume, train
from marlrun.types import Rewarding, Spec

CPU = torch.device("cpu")
SEEDS = [3, 4]
WALK = {"_target_": "runner.fakes.Walk", "num_envs": 1, "goal": 7, "horizon": 6}


class Steady:
    """Agent 0 always plays 1, agent 1 always 2."""

    def __call__(self, step):
        return torch.tensor([1, 2]).expand(step.reward.shape)


class Recovered(Bandit):
    """Recovers a function of the observation before, the action and the observation after."""

    function = staticmethod(lambda obs, action, next_obs: action.float())

    def reward(self, before, action, after):
        return type(self).function(before.obs[..., 0], action, after.obs[..., 0])


def recovered(function, seeds=SEEDS):
    spec = Walk(seeds, CPU, num_envs=1).spec
    cls = type("Found", (Recovered,), {"function": staticmethod(function)})
    return cls(spec, seeds, CPU, num_envs=1)


def random_play(seeds=SEEDS, copies=40, **changes):
    env = Walk(seeds, CPU, num_envs=copies, **({"goal": 5, "horizon": 9} | changes))
    bandit = Bandit(env.spec, seeds, CPU, num_envs=copies)
    return record(env, bandit.policy(explore=True, seeds=seeds))


def test_a_play_has_whole_episodes_and_says_where_they_ended():
    """From 0 by steps of 1 to goal 3, of at most 5 steps."""
    env = Walk(SEEDS, CPU, num_envs=2, goal=3, horizon=5, starts=1)
    play = record(env, Steady())
    assert play.acted[0, 0].int().tolist() == [[1, 1]] * 3 + [[0, 0]] * 2
    assert play.obs[1, 1, :3, 1, 0].tolist() == [0, 2, 4]
    assert play.next_obs[1, 1, :3, 1, 0].tolist() == [2, 4, 6]
    assert play.reward[0, 0, :3].tolist() == [[1, 2]] * 3
    obs, action, next_obs, reward = play.draw(SEEDS, "test", 50)
    assert set(obs[0, :, 0, 0].tolist()) == {0, 1, 2}  # never what came after the end
    assert torch.equal(next_obs[..., 0], obs[..., 0] + action) and torch.equal(
        reward, action.float()
    )


def test_demonstrations_are_a_play_of_every_replica():
    episodes = [
        Episode(
            torch.arange(length + 1).float().view(-1, 1, 1).expand(-1, 2, 2) + 10 * length,
            torch.ones(length, 2, dtype=torch.int64),
            torch.arange(length).float().view(-1, 1).expand(-1, 2),
            terminated=True,
            truncated=False,
        )
        for length in (2, 3)
    ]
    file = io.BytesIO()
    card = {"agents": ["a", "b"], "obs_sizes": [2, 2], "num_actions": [3, 3], "env": {}}
    write(file, card, episodes)
    play = demonstrated(read(file.getvalue()), 100, 2, CPU)
    assert play.acted[1, :, :, 0].int().tolist() == [[1, 1, 0], [1, 1, 1]]
    assert play.obs[0, :, :, 1, 1].tolist() == [[20, 21, 0], [30, 31, 32]]
    assert play.next_obs[0, :, :, 1, 1].tolist() == [[21, 22, 0], [31, 32, 33]]
    assert play.reward[1, 1, :, 0].tolist() == [0, 1, 2]


def test_the_true_reward_its_opposite_and_a_shaped_one():
    """The game pays the action. A potential turns single rewards around, but not the distance."""
    play, spec = random_play(), Walk(SEEDS, CPU, num_envs=1).spec
    true = recovered(lambda obs, action, next_obs: 3.0 * action + 1)
    opposite = recovered(lambda obs, action, next_obs: -action.float())
    shaped = recovered(lambda obs, action, next_obs: action - 0.95 * 3 * next_obs + 3 * obs)
    for learner, correlation in ((true, 1.0), (opposite, -1.0)):
        for value in agreement(rewards(learner, play), play).values():
            torch.testing.assert_close(value, torch.full((2, 2), correlation).double())
    values = agreement(rewards(shaped, play), play)
    assert list(values) == ["pearson_step", "spearman_step"] and values["pearson_step"].max() < 0
    for learner, expected in ((true, 0.0), (opposite, 1.0), (shaped, 0.0)):
        distances = distance(learner, play, spec, SEEDS)["epic"]
        torch.testing.assert_close(
            distances, torch.full((2, 2), expected).double(), atol=2e-3, rtol=0
        )


def test_a_reward_of_the_state_before_has_a_canonical_form_too():
    """Where the game pays for the place before a step, g(o) = o is at distance 0, r(a) = a is not."""
    spec = replace(Walk(SEEDS, CPU, num_envs=1).spec, pays_for="before")
    play = random_play(goal=99, horizon=9)
    play = play._replace(reward=play.obs[..., 0])
    later = play.paid_later()
    assert torch.equal(later.reward[:, :, :-1], play.reward[:, :, 1:])
    assert later.acted.int().tolist() == [[[[1, 1]] * 8 + [[0, 0]]] * 40] * 2
    before = recovered(lambda obs, action, next_obs: obs)
    moves = recovered(lambda obs, action, next_obs: action.float())
    assert distance(before, play, spec, SEEDS)["epic"].max() < 1e-3
    assert distance(moves, play, spec, SEEDS)["epic"].min() > 0.3
    assert agreement(rewards(before, play), play)["pearson_step"].min() > 0.999


def test_where_nobody_says_what_is_paid_for_there_is_no_distance():
    learner = recovered(lambda obs, action, next_obs: obs)
    assert distance(learner, random_play(), replace(learner.spec, pays_for=None), SEEDS) == {}


def test_a_constant_has_no_correlation_per_step_but_one_of_returns_where_episodes_end_early():
    play, spec = random_play(goal=12, horizon=30), Walk(SEEDS, CPU, num_envs=1).spec
    constant = recovered(lambda obs, action, next_obs: torch.ones(action.shape))
    assert all(value.eq(0).all() for value in agreement(rewards(constant, play), play).values())
    torch.testing.assert_close(
        distance(constant, play, spec, SEEDS)["epic"], torch.full((2, 2), 0.5**0.5).double()
    )
    returns = return_agreement(rewards(constant, play), play)
    assert list(returns) == ["pearson_return", "spearman_return"]
    assert min(value.min() for value in returns.values()) > 0.6


def test_a_replica_is_measured_the_same_alone_and_in_company():
    """Also where episodes of the others are of another length."""

    def function(obs, action, next_obs):
        return action * obs.cos() + next_obs

    spec = Walk(SEEDS, CPU, num_envs=1).spec
    many, one = recovered(function, [3, 4, 5]), recovered(function, [4])
    plays = [random_play(seeds, 30, goal=9, horizon=20) for seeds in ([3, 4, 5], [4])]
    for measure in (agreement, return_agreement):
        for several, single in zip(
            measure(rewards(many, plays[0]), plays[0]).values(),
            measure(rewards(one, plays[1]), plays[1]).values(),
            strict=True,
        ):
            torch.testing.assert_close(several[1:2], single, rtol=0, atol=1e-12)
    several, single = (
        distance(learner, play, spec, seeds)["epic"]
        for learner, play, seeds in zip((many, one), plays, ([3, 4, 5], [4]), strict=True)
    )
    torch.testing.assert_close(several[1:2], single, rtol=0, atol=1e-6)


def test_what_is_measured_of_a_run():
    job = SimpleNamespace(env=WALK, algo={})
    measured = Agreement(job, Walk(SEEDS, CPU, num_envs=1).spec, SEEDS, CPU, ["runner"])
    learner = recovered(lambda obs, action, next_obs: action.float())
    assert isinstance(learner, Rewarding)
    assert set(measured.measure(learner, "eval/5", thorough=False)) == {
        f"irl/{play}/{name}_step"
        for play in ("policy", "random")
        for name in ("pearson", "spearman")
    }
    thorough = measured.measure(learner, "final", thorough=True)
    assert {f"agent/{name}/irl/random/epic" for name in ("left", "right")} <= thorough.keys()
    assert len(thorough) == 2 * 5 * 3 and thorough["irl/policy/spearman_return"].shape == (2,)
    bandit = Bandit(learner.spec, SEEDS, CPU, num_envs=1)
    assert measured.measure(bandit, "final", thorough=True) == {}


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_run_logs_headlines_and_evaluation_reports_all(tmp_path, capsys, replicas):
    job = config(algo___target_="runner.test_agreement.Recovered", replicas=replicas)
    results = train(job, tmp_path, []).results
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = {tag for row in rows for tag in row if tag.startswith(("irl/", "agent/left/irl/"))}
    headlines = {"irl/random/pearson_step", "irl/policy/spearman_step", "irl/return_mean"}
    assert headlines <= logged and not any("epic" in tag or "agent" in tag for tag in logged)
    assert results["irl/random/pearson_step"] == pytest.approx([1.0] * replicas)
    capsys.readouterr()
    outcome = evaluate_run(
        tmp_path,
        episodes=3,
        checkpoint="latest",
        video=False,
        seed=None,
        device="cpu",
        threads=1,
        plugins=["runner"],
    )
    assert outcome.results["agent/right/irl/random/pearson_return"] == pytest.approx(
        [1.0] * replicas
    )
    *lines, last = capsys.readouterr().out.splitlines()
    assert "irl/random/epic" in json.loads(last)
    assert any(line.startswith("irl/random/epic ") for line in lines)


def test_a_resumed_run_measures_the_same(tmp_path):
    job = config(algo___target_="runner.test_agreement.Recovered")
    train(job, tmp_path / "whole", [])
    train(job | {"env_steps": 66}, tmp_path / "parts", [])
    resume(tmp_path / "parts", 120, ["runner"])
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("horizon", "episodes"), [(50, 1000), (10, 1000), (200, 250), (10**6, 100)]
)
def test_results_are_of_more_episodes_than_points_of_curves(horizon, episodes):
    spec = Spec(1, ("a",), (1,), (2,), horizon, 1.0)
    assert num_episodes(spec, thorough=True) == episodes
    assert num_episodes(spec, thorough=False) == 100
