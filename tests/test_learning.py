"""Every algorithm solves something small, by the command a user types."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def _results(directory: Path, *overrides: str) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "marlrun", *overrides, f"hydra.run.dir={directory}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((directory / "run.json").read_text())["results"]


def test_hysteresis_finds_the_shadowed_equilibrium_of_climb(tmp_path):
    games = ("env=matrix_game", "env.game=climb", "replicas=10", "env_steps=2000")
    hysteretic = _results(tmp_path / "h", "algo=dec_hdrqn", *games)["eval/return_mean"]
    plain = _results(tmp_path / "d", "algo=dec_drqn", *games)["eval/return_mean"]
    assert sum(value == 11 for value in hysteretic) >= 9
    assert sum(value == 11 for value in plain) <= 1


def test_without_hysteresis_an_unshadowed_equilibrium_is_found(tmp_path):
    game = ("env=matrix_game", "env.game=coordination", "replicas=5", "env_steps=1000")
    assert _results(tmp_path / "d", "algo=dec_drqn", *game)["eval/return_mean"].count(2) >= 4


@pytest.mark.slow
def test_agents_meet_in_meeting_grid_whatever_the_seed(tmp_path):
    """The command that a stranger types first; best replies earn 16.45, random actions 1.73."""
    game = ("env=meeting_grid", "seed=9600", "replicas=20", "eval.final_episodes=1000")
    returns = _results(tmp_path / "run", "algo=dec_hdrqn", *game)["eval/return_mean"]
    assert sum(returns) / len(returns) >= 15.3
    assert sorted(returns)[1] >= 14.5 and min(returns) >= 13


@pytest.mark.slow
def test_target_capture_reaches_nine_tenths_of_the_optimum(tmp_path):
    results = _results(
        tmp_path / "run",
        "algo=dec_hdrqn",
        "env=target_capture",
        "replicas=3",
        "env_steps=100000",
        "eval.every=50000",
    )
    assert min(results["eval/return_fraction"]) >= 0.9


@pytest.mark.slow
def test_many_tasks_are_learned_by_one_policy(tmp_path):
    results = _results(
        tmp_path / "run",
        "algo=multi_hdrqn",
        "env=target_capture_tasks",
        "env.sizes=[2,3]",
        "env.targets=one",
        "env.flicker=0",
        "env_steps=25000",
        "replicas=3",
        "seed=50",
        "eval.every=12500",
        "algo.learning_starts=2500",
        "algo.epsilon_steps=8000",
        "algo.target_every=200",
    )
    # Uniform actions: .55 and .20. No task has a network of its own.
    assert min(results["eval/task/size=2/return_fraction"]) >= 0.95
    assert min(results["eval/task/size=3/return_fraction"]) >= 0.65


@pytest.mark.slow
def test_one_distilled_policy_plays_two_tasks_as_their_specialists_do(tmp_path):
    """No student is told its task; the best checkpoints teach, so these are what it is measured by."""
    seeds, runs = ("replicas=3", "algo.eval_epsilon=0"), [tmp_path / "two", tmp_path / "three"]
    specialists = [
        _results(
            run,
            *("algo=dec_hdrqn", "env=target_capture", f"env.size={size}", *seeds),
            *("env_steps=25000", "algo.epsilon_steps=8000"),
        )["eval/return_fraction"]
        for size, run in zip((2, 3), runs, strict=True)
    ]
    teachers = f"algo.teachers=[{','.join(map(str, runs))}]"
    games = ("env=target_capture_tasks", "env.sizes=[2,3]", "env.targets=one", "env.flicker=0")
    results = _results(
        tmp_path / "student", "algo=distill", *games, *seeds, teachers, "updates=6000"
    )
    for size, fractions in zip((2, 3), specialists, strict=True):
        student = results[f"eval/task/size={size}/return_fraction"]
        assert sum(student) / 3 >= sum(fractions) / 3 - 0.06
        pairs = zip(student, fractions, strict=True)
        assert all(taught >= teaching - 0.12 for taught, teaching in pairs)
    rows = map(json.loads, (tmp_path / "student/metrics.jsonl").read_text().splitlines())
    rows = [row for row in rows if "loss/kl" in row]
    first, last = ([row for row in rows if row["updates"] == at] for at in (1000, 6000))
    assert min(row["teacher/agreement"] for row in last) >= 0.8
    assert 2 * max(row["loss/kl"] for row in last) < min(row["loss/kl"] for row in first)
