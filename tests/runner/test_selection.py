"""What selects best.pt: `checkpoint.best`."""

import json
import time
from statistics import fmean

import pytest
import torch
from runner.compare import assert_same_run, rows
from runner.fakes import config
from runner.test_elsewhere import evaluate

from marlrun import exact
from marlrun.runner.checkpoint import selection
from marlrun.runner.job import read_job
from marlrun.runner.train import resume, train
from marlrun.runner.trainer import Training

PLUGINS = ["runner"]
RIGHT = "agent/right/return"


def selecting(tag, **changes):
    job = config(**changes)
    job["checkpoint"] |= {"best": tag}
    return job


def best_step(directory):
    return torch.load(directory / "checkpoints/best.pt", weights_only=True)["env_steps"]


def test_older_runs_select_by_the_mean_return():
    assert read_job(config()).checkpoint_best == "eval/return_mean"
    assert read_job(selecting("latest")).checkpoint_best == "latest"


def test_the_tag_selects_by_its_highest_mean_over_seeds(tmp_path, monkeypatch):
    means = {0: (1.0, 4.0), 40: (3.0, 1.0), 80: (2.0, 6.0), 120: (9.0, 5.0)}

    def measured(self, purpose, episodes):
        own, right = means[self.count]
        rights = torch.tensor([right - 1, right + 1])
        return {"eval/return_mean": torch.full((2,), own), RIGHT: rights}

    monkeypatch.setattr(Training, "_evaluate", measured)
    train(selecting(RIGHT), tmp_path / "right", [])
    train(selecting("eval/return_mean"), tmp_path / "mean", [])
    assert best_step(tmp_path / "right") == 80 and best_step(tmp_path / "mean") == 120


def test_the_selection_is_that_of_the_log(tmp_path, capsys):
    train(selecting(RIGHT, algo__lr=0.5), tmp_path, [])
    scores = {}
    for row in rows(tmp_path):
        if RIGHT in row:
            scores.setdefault(row["env_steps"], []).append(row[RIGHT])
    assert best_step(tmp_path) == max(scores, key=lambda step: fmean(scores[step]))
    assert f"best.pt: {selection(RIGHT)}\n" in capsys.readouterr().err


def test_a_selecting_run_trained_for_longer_is_the_long_run(tmp_path):
    train(selecting(RIGHT), tmp_path / "whole", [])
    train(selecting(RIGHT, env_steps=70), tmp_path / "parts", [])
    resume(tmp_path / "parts", 120, PLUGINS)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_latest_keeps_no_best_and_evaluation_takes_the_newest(tmp_path, capsys):
    train(selecting("latest"), tmp_path / "whole", [])
    train(selecting("latest", env_steps=70), tmp_path / "parts", [])
    err = capsys.readouterr().err
    assert (
        "best.pt: none is kept, mode=eval takes the newest checkpoint (checkpoint.best=latest)\n"
    ) in err
    resume(tmp_path / "parts", 120, PLUGINS)
    assert "takes its place" not in capsys.readouterr().err
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    names = sorted(path.name for path in (tmp_path / "whole/checkpoints").iterdir())
    assert names == ["step_120.pt", "step_90.pt"]
    newest = evaluate(tmp_path / "whole", checkpoint="latest").results
    assert "keeps no best.pt" not in capsys.readouterr().err
    assert evaluate(tmp_path / "whole", checkpoint="best").results == newest
    assert capsys.readouterr().err.startswith(
        f"{tmp_path}/whole: checkpoint.best=latest keeps no best.pt, the newest checkpoint is taken\n"
    )


def test_a_tag_that_no_evaluation_has_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError) as refusal:
        train(selecting("agent/rigth/return"), tmp_path, [])
    tags = "agent/left/return, agent/right/return, eval/anticipated_mean, eval/length_mean"
    assert str(refusal.value) == (
        f"checkpoint.best=agent/rigth/return: expected latest, or what an evaluation of this run "
        f"has: {tags}, eval/return_mean; did you mean agent/right/return?"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_fraction_selects_only_where_there_is_an_optimum(tmp_path):
    # The walk has no exact solution.
    with pytest.raises(ValueError, match="checkpoint.best=eval/return_fraction: expected latest"):
        train(selecting("eval/return_fraction"), tmp_path / "walk", [])
    random = {"_target_": "marlrun.algos.random.Random"}
    game = {"_target_": "marlrun.envs.matrix_game.MatrixGame", "num_envs": 1, "game": "climb"}
    game |= {"payoff": None, "horizon": 1, "discount": 1.0}
    job = selecting("eval/return_fraction") | {"algo": random, "env": game}
    assert train(job, tmp_path / "game", []).status == "finished"
    assert json.loads((tmp_path / "game/run.json").read_text())["exact"]["optimum"] == 11


@pytest.mark.parametrize("tag", ["eval/return_fraction", "eval/return_mean"])
def test_solving_that_takes_long_is_announced(tmp_path, monkeypatch, capsys, tag):
    def solve(env, plugins):
        time.sleep(0.1)
        return {"optimum": 4.0, "random": 1.0}

    monkeypatch.setattr(exact, "solve", solve)
    monkeypatch.setattr("marlrun.runner.console._MOMENT", 0.01)
    line = "solving the game for its exact values takes a while\n"
    train(selecting(tag), tmp_path, [])
    assert capsys.readouterr().err.count(line) == 1
    evaluate(tmp_path, checkpoint="best")
    assert capsys.readouterr().err.count(line) == 1
