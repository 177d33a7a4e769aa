"""Runs of many tasks: what an evaluation measures of each, and of them all."""

import json
from pathlib import Path

import pytest
import torch
from runner.compare import record, rows

from marlrun import exact
from marlrun.algos.random import Random
from marlrun.api import train
from marlrun.cli.embedded import embedded
from marlrun.cli.main import run_command
from marlrun.config.tasks import tasks_of
from marlrun.runner import plays
from marlrun.runner.build import build_env
from marlrun.runner.columns import over_tasks
from marlrun.runner.elsewhere import differences
from marlrun.runner.evaluate import evaluate

CPU = torch.device("cpu")
SEEDS = (4, 5)
SIZES = {
    "_target_": "marlrun.envs.tasks.TargetCaptureTasks",
    "num_envs": 1,
    "sizes": [2, 3],
    "num_agents": 2,
    "targets": "each",
    "flicker": 0.3,
    "slip": 0.05,
    "motion": [1, 0],
    "horizon": 20,
    "discount": 0.95,
}
TWO = ["algo=random", "env=target_capture_tasks", "env.sizes=[2,3]", "env.horizon=20", "replicas=2"]
SHORT = ["env_steps=100", "eval.every=50", "eval.episodes=4", "eval.final_episodes=6"]


def test_a_mean_over_tasks_is_of_what_all_of_them_have():
    first = {"eval/return_mean": torch.tensor([[1.0, 2.0]]), "agent/a/return": torch.zeros(1, 2)}
    second = {"eval/return_mean": torch.tensor([[4.0, 6.0]]), "agent/a/return": torch.ones(1, 2)}
    columns = over_tasks({"x=1": first | {"eval/return_fraction": torch.ones(1, 2)}, "x=2": second})
    expected = {
        "eval/return_mean": [[2.5, 4.0]],
        "agent/a/return": [[0.5, 0.5]],
        "eval/task/x=1/return_mean": [[1.0, 2.0]],
        "eval/task/x=1/return_fraction": [[1.0, 1.0]],
        "eval/task/x=2/return_mean": [[4.0, 6.0]],
    }
    assert {tag: column.tolist() for tag, column in columns.items()} == expected


def blocks_of(node, episodes, solution=None, **settings):
    spec = build_env(node, SEEDS, CPU, []).spec
    learner = Random(spec, SEEDS, CPU, num_envs=1)
    keys = {"purpose": "test", "episodes": episodes, "solution": solution}
    return list(evaluate(node, learner, SEEDS, CPU, [], **keys, **settings))


def test_every_task_is_measured_as_a_game_of_its_own(monkeypatch):
    monkeypatch.setattr(plays, "BLOCK", 4)
    solution = exact.solve(SIZES)
    blocks = blocks_of(SIZES, 6, solution)
    assert [block["eval/return_mean"].shape for block in blocks] == [(2, 4), (2, 2)]
    for name, game in tasks_of(SIZES).items():
        optimum = {"optimum": solution[f"task/{name}/optimum"]}
        assert optimum["optimum"] == exact.solve(game)["optimum"]
        for block, alone in zip(blocks, blocks_of(game, 6, optimum), strict=True):
            for tag in ("return_mean", "return_fraction", "length_mean"):
                assert torch.equal(block[f"eval/task/{name}/{tag}"], alone[f"eval/{tag}"])
    for tag in ("return_mean", "return_fraction", "length_mean"):
        parts = [blocks[0][f"eval/task/size={size}/{tag}"] for size in (2, 3)]
        assert torch.equal(blocks[0][f"eval/{tag}"], (parts[0] + parts[1]) / 2)


def test_the_task_that_asks_for_the_fewest_copies_decides(monkeypatch):
    from marlrun.envs.target_capture import TargetCapture

    monkeypatch.setattr(TargetCapture, "max_evaluation_copies", 3, raising=False)
    assert plays.block_size(SIZES, []) == 3


def test_exact_values_are_of_each_task_and_their_means():
    solution = exact.solve(SIZES)
    alone = [exact.solve(game) for game in tasks_of(SIZES).values()]
    for name in ("optimum", "random"):
        assert solution[name] == (alone[0][name] + alone[1][name]) / 2
        assert solution[f"task/size=3/{name}"] == alone[1][name]
    assert exact.why_not(SIZES) is None and exact.details(SIZES) == {}


def test_a_task_that_cannot_be_solved_has_no_fraction():
    node = {**SIZES, "sizes": [2, 64], "num_agents": 4}
    solution = exact.solve(node)
    assert solution.keys() == {"task/size=2/optimum", "task/size=2/random"}
    assert exact.why_not(node).startswith("task size=64: too large to solve exactly")
    (block,) = blocks_of(node, 2, solution)
    fractions = [tag for tag in block if tag.endswith("fraction")]
    assert fractions == ["eval/task/size=2/return_fraction"]
    assert exact.solve({**node, "sizes": [64]}) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("many") / "run"
    return train(*TWO, *SHORT, f"hydra.run.dir={directory}")


def test_results_are_in_all_places(run):
    results, known = record(run)["results"], record(run)["exact"]
    pairs = zip(
        results["eval/task/size=2/return_mean"],
        results["eval/task/size=3/return_mean"],
        strict=True,
    )
    assert results["eval/return_mean"] == pytest.approx([sum(pair) / 2 for pair in pairs])
    optimum = known["task/size=3/optimum"]
    expected = [value / optimum for value in results["eval/task/size=3/return_mean"]]
    assert results["eval/task/size=3/return_fraction"] == pytest.approx(expected)
    logged = [row for row in rows(run) if "eval/return_mean" in row]
    assert len(logged) == 6 and all("eval/task/size=2/length_mean" in row for row in logged)


def say(capsys, *words):
    with embedded():
        outcome = run_command(list(words))
    return outcome, *capsys.readouterr()


def test_held_out_sizes_are_measured(run, capsys):
    outcome, out, err = say(
        capsys, "mode=eval", f"run={run}", "env.sizes=[4,5]", "episodes=3", "video=true"
    )
    told = json.loads(out.splitlines()[-1])
    assert {tag for tag in told if "task" in tag and "return" in tag} == {
        f"eval/task/size={size}/{name}"
        for size in (4, 5)
        for name in ("return_mean", "return_fraction")
    }
    assert "elsewhere: env.sizes=[4, 5] (trained with [2, 3])" in err
    assert len(outcome.results["eval/task/size=5/return_mean"]) == 2


def test_tasks_of_mode_eval_are_completed_and_named_beside_those_of_training(tmp_path, capsys):
    typed = "env.tasks=[{name: target_capture, size: 2}, {name: target_capture, size: 3}]"
    words = ["algo=random", "env=tasks", typed, *SHORT]
    run = train(*words, f"hydra.run.dir={tmp_path / 'run'}")
    other = "env.tasks=[{name: target_capture, size: 3}, {name: target_capture, size: 5}]"
    _, out, err = say(capsys, "mode=eval", f"run={run}", other, "episodes=2")
    assert "elsewhere: env.tasks=[size=3, size=5] (trained with [size=2, size=3])" in err
    assert "eval/task/size=5/return_mean" in json.loads(out.splitlines()[-1])
    wrong = other.replace("size: 5", "size: 1")
    outcome, _, _ = say(capsys, "mode=eval", f"run={run}", wrong)
    assert outcome.error.startswith("env.tasks[1].size=1: expected int [2, 64]")
    outcome, _, _ = say(capsys, "mode=eval", f"run={run}", "env.tasks=[{size: 3}]")
    assert outcome.error.startswith("env.tasks[0]={'size': 3}: expected {name: GAME")
    outcome, _, _ = say(capsys, "mode=eval", f"run={run}", "env.tasks=[{name: meeting_grid}]")
    assert "observations of size 6, the policy was trained with 4" in outcome.error


def test_differences_of_other_games_are_told_as_before():
    env = {"_target_": "mine.Game", "tasks": [1]}
    told = differences({"env": env}, {"env": {**env, "tasks": [2]}}, "env")
    assert told == {"env.tasks": "env.tasks=[2] (trained with [1])"}


def test_a_task_may_select_the_best(tmp_path):
    tag = "checkpoint.best='eval/task/size=3/return_mean'"
    directory = f"hydra.run.dir={tmp_path / 'run'}"
    run = train(*TWO, *SHORT, tag, directory)
    assert (run / "checkpoints/best.pt").exists()
    with pytest.raises(ValueError, match=r"did you mean eval/task/size=.*return_mean"):
        train(*TWO, *SHORT, tag.replace("size=3", "size=4"), f"{directory}2")


def test_every_task_is_demonstrated(run, tmp_path, capsys):
    _, out, _ = say(
        capsys, "mode=demonstrate", f"run={run}", f"out={tmp_path / 'd.npz'}", "episodes=3"
    )
    assert json.loads(out.splitlines()[-1])["episodes"] == 6


def test_mode_exact_tells_each_task(capsys):
    words = ["mode=exact", "env=target_capture_tasks", "env.num_agents=4"]
    _, out, _ = say(capsys, *words, "env.sizes=[2,64]")
    told = json.loads(out.splitlines()[-1])
    assert told["optimum"] is None and told["task/size=2/optimum"] > told["task/size=2/random"]
    assert out.splitlines()[-2].startswith("cannot be solved: task size=64: too large")
