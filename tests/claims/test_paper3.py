"""What docs/paper3 measures: recovered rewards along straight ways, mixed teams, tables of kept runs."""

import json
from pathlib import Path

import kept
import pytest
import torch
import yaml
from paper3 import probe, tables, teams
from runner.test_elsewhere import stored, trained

from marlrun.nets.recovered import Nearest, RecoveredReward
from marlrun.runner.build import build_env

CPU = torch.device("cpu")
RANDOM = {"_target_": "marlrun.algos.random.Random"}
SPREAD = stored("spread") | {"rules": "ma_airl", "early_end": False}


def run_on_spread(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"env": SPREAD}))
    return path


def test_what_resting_agents_see_and_earn_is_what_the_game_says(tmp_path):
    world, obs = probe.begun(run_on_spread(tmp_path / "run"))
    torch.testing.assert_close(probe.observed(world.start, world.landmarks), obs)
    env = build_env(SPREAD, [probe.SEED], CPU, [], num_envs=probe.STARTS)
    env.reset()
    after = env.step(torch.zeros(1, probe.STARTS, 3, dtype=torch.int64))
    apart = torch.cdist(world.start, world.start) + 9 * torch.eye(3)
    # Discs that touch push each other away.
    rests = apart.amin((1, 2)) > 0.31
    assert rests.sum() > 300
    truth = probe.true_reward(world.start, world.landmarks)
    torch.testing.assert_close(truth[rests], after.reward[0, rests, 0], rtol=1e-5, atol=1e-5)


def test_goals_are_the_landmarks_by_the_shortest_ways(tmp_path):
    world, _ = probe.begun(run_on_spread(tmp_path / "run"))
    for goal, landmarks in zip(world.goal, world.landmarks, strict=True):
        assert sorted(goal.tolist()) == sorted(landmarks.tolist())
    ways = (world.start - world.goal).norm(dim=-1).sum(-1)
    swapped = (world.start - world.goal[:, [1, 0, 2]]).norm(dim=-1).sum(-1)
    assert (ways <= swapped + 1e-6).all()


def test_a_way_goes_straight_from_one_end_to_the_other():
    first, last = torch.zeros(1, 3, 2), torch.tensor([[[1.0, 2.0]] * 3])
    points = probe.way(first, last)
    assert points.shape == (1, probe.POINTS, 3, 2)
    torch.testing.assert_close(points[0, [0, 10, 20], 0], torch.tensor([[0, 0], [0.5, 1], [1, 2]]))


def test_rewards_are_shown_in_units_in_which_the_ends_of_the_first_way_agree(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "RESULTS", tmp_path)
    run = run_on_spread(tmp_path / "run")
    spec = build_env(SPREAD, [0], CPU, [], num_envs=1).spec
    world, _ = probe.begun(run)
    goals = probe.observed(world.goal, world.landmarks).transpose(0, 1)
    recovered = RecoveredReward(spec, [0, 1], Nearest(spec, goals))
    torch.save({"reward": recovered.state_dict()}, run / "reward.pt")
    found = probe.along("run")
    first = found["start"]
    for values in first["recovered"]:
        assert values[0] == pytest.approx(first["true"][0], rel=1e-4)
        assert values[-1] == pytest.approx(first["true"][-1], rel=1e-4)
        assert all(early < late for early, late in zip(values, values[1:], strict=False))
    assert found["centroid"]["recovered"][0][-1] == pytest.approx(first["true"][-1], rel=1e-4)
    probe.draw_probe({"nearest": found}, tmp_path / "probe.png")
    assert (tmp_path / "probe.png").stat().st_size > 5000


def test_every_imitator_plays_with_the_expert_on_either_side(tmp_path, monkeypatch):
    monkeypatch.setattr(teams, "EPISODES", 3)
    for ending in teams.RUNS.values():
        path = tmp_path / f"0_{ending}"
        trained(path, RANDOM, stored("push") | {"rules": "ma_airl"}, replicas=5)
    found = teams.teams(tmp_path)
    assert len(found) == 3 * 7 - 2
    expert, by_chance = found["expert / expert"], found["expert / random"]
    assert sum(expert["adversary_0"]) > sum(by_chance["adversary_0"]) + 20
    assert found["cloning / cloning"]["agent_0"] == found["nearest / nearest"]["agent_0"]
    assert "| MA-AIRL / expert |" in teams.teams_table(found)
    assert "| -6.79 |" in teams.teams_table(found)


def test_tables_have_what_kept_runs_say_and_a_dash_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    run = tmp_path / "paper3_navigation" / "ma_airl_early"
    run.mkdir(parents=True)
    tags = {f"irl/random/{kind}_step": [0.5, 0.7] for kind in ("pearson", "spearman")}
    results = {"eval/return_mean": [-50.0, -48.0], **tags}
    (run / "run.json").write_text(json.dumps({"results": results}))
    rows = [
        {"env_steps": at, "seed": seed, "irl/random/pearson_step": 0.1 * seed + at / 1e7}
        for at in (0, 300032, 3000064)
        for seed in (1, 2)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = tables.tables()
    assert "| MA-AIRL | -49.0 [-61.7, -36.3], -50.0 | -47.5 | - | - | -12.7 | - |" in page
    assert "| MA-AIRL, navigation | 0.18 [-0.46, 0.82] |" in page
    assert "0.60 [-0.67, 1.87] / 0.60 [-0.67, 1.87]" in page


def test_results_that_are_kept_make_the_tables_that_are_kept():
    assert (kept.RESULTS / "paper3" / "tables.md").read_text() == tables.tables()
