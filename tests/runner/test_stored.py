"""What an earlier version left is evaluated, gone on with and reported by this one."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from runner.compare import record, rows

from marlrun.config.older import current
from marlrun.report.cli import main as report
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.train import resume, train

STORED = Path(__file__).with_name("stored")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(STORED, tmp_path / "stored")


def marlrun(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "marlrun", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_finished_run_is_measured(stored):
    settings = {"video": False, "seed": None, "device": "cpu", "threads": 1, "plugins": []}
    for checkpoint in ("best", "latest"):
        outcome = evaluate_run(stored / "finished", episodes=8, checkpoint=checkpoint, **settings)
        assert outcome.status == "finished" and len(outcome.results["eval/return_mean"]) == 2


def test_a_finished_run_is_trained_for_longer(stored):
    # The row of the end was not due, and is taken back.
    before = rows(stored / "finished")
    assert resume(stored / "finished", 600, []).status == "finished"
    after = rows(stored / "finished")
    assert after[: len(before)] == before and after[-1]["env_steps"] == 600


def test_an_interrupted_run_goes_on(stored):
    directory = stored / "interrupted"
    before = rows(directory)
    assert record(directory)["env_steps"] == 506
    assert resume(directory, None, []).status == "finished"
    after = rows(directory)
    assert after[: len(before)] == before
    steps = [row["env_steps"] for row in after if row["seed"] == 1 and "eval/return_mean" in row]
    assert steps == [0, 300, 600, 900, 1200]


@pytest.mark.parametrize("kept", ["finished", "sweep/1_seed=7"])
def test_all_numbers_are_those_of_the_earlier_version(stored, kept):
    """The run begun again by this version is, bit for bit, the old one, or the old one resumed."""
    directory = stored / kept
    if record(directory)["versions"]["torch"] != torch.__version__:
        pytest.skip("another version of torch may round otherwise")
    earlier = rows(directory)
    again = current(yaml.safe_load((directory / "config.yaml").read_text("utf-8")))
    assert train(again, Path("again"), []).status == "finished"
    if kept != "finished":
        assert resume(directory, None, []).status == "finished"
    assert rows(directory)[: len(earlier)] == earlier
    assert rows(directory) == rows(Path("again"))
    assert record(directory)["results"] == record(Path("again"))["results"]


@pytest.mark.parametrize("kept", ["interrupted", "sweep/1_seed=7"])
def test_an_interrupted_run_is_begun_again_by_its_command(stored, kept):
    """A queue that starts a job again types the same words; keys had other names then."""
    directory = stored / kept
    words = [word for word in record(directory)["argv"][1:] if not word.startswith("hydra.")]
    said = marlrun(*words, f"hydra.run.dir='{directory}'")
    assert said.returncode == 0, said.stderr
    assert "holds this job, unfinished: going on" in said.stderr
    assert record(directory)["status"] == "finished"


def test_what_is_gone_on_with_is_stored_under_the_new_names(stored):
    assert resume(stored / "finished", 450, []).status == "finished"
    config = yaml.safe_load((stored / "finished/config.yaml").read_text("utf-8"))
    assert config["algo"]["steps"]["offset"] == 300 and current(config) == config
    sweep = json.loads((stored / "sweep/sweep.json").read_text("utf-8"))
    assert "steps" not in sweep["jobs"][2]["config"]["algo"]  # until the sweep is written again


def test_an_older_name_is_answered_by_the_new_one():
    said = marlrun("algo=networked_ac_q", "env=public_goods", "algo.critic_step=0.1")
    line = "marlrun: algo.critic_step=0.1: expected algo.steps.critic=0.1, its new name\n"
    assert (said.returncode, said.stderr) == (2, line)


def test_an_interrupted_sweep_goes_on_and_all_is_reported_together(stored):
    said = marlrun("mode=resume", "run=stored/sweep")
    assert said.returncode == 0, said.stderr
    assert "3 jobs: 3 finished" in said.stdout
    again = ["algo=networked_ac_q", "env=public_goods", "graph=ring", "env_steps=400"]
    again += ["eval.every=100", "log.every=50", "checkpoint.every=100", "seed=5"]
    again += ["eval.episodes=4", "eval.final_episodes=8", "hydra.run.dir=new"]
    assert marlrun(*again).returncode == 0
    assert report(["stored", "new", "--out", "report"]) == 0
    with Path("report/results.csv").open() as file:
        table = [(line["algorithm"], line["seeds"]) for line in csv.DictReader(file)]
    # Runs of both versions with the same settings are one group: seeds 0, 1 and 5.
    assert [seeds for _, seeds in table] == ["3", "3"], table
