"""Offline learners on the command line: budgets, sweeps beside online ones, and their report."""

import csv
import json
from pathlib import Path

import pytest
from cli.test_cli import marlrun, refused, trained, write  # noqa: F401

from marlrun.report.cli import main as report

ALGO = (
    "# Learns from logged play\n_target_: runner.logged.LoggedPlay\nlr: 0.1  # float (0, 1]: step\n"
)
SMALL = ["env=matrix_game", "replicas=2", "eval.every=20", "eval.episodes=4", "log.every=20"]
PLUGIN = "plugins=[runner]"


@pytest.fixture
def mine(marlrun):  # noqa: F811
    """Run the command line with a directory of the user's own."""
    write("mine/algo/logged.yaml", ALGO)
    write("mine/algo/tuned_logged.yaml", ALGO)
    write("mine/tuned/tuned_logged_matrix_game.yaml", "updates: 60\n")
    write("mine/algo/wrong.yaml", ALGO)
    write("mine/tuned/wrong_matrix_game.yaml", "env_steps: 60\n")
    write("mine/algo/acting.yaml", "# Acts\n_target_: runner.fakes.Bandit\n")
    write("mine/tuned/acting_matrix_game.yaml", "updates: 60\n")
    return lambda *argv: marlrun("--config-dir", "mine", *argv)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            ["algo=logged"],
            "updates missing: algo logged learns offline (it has no observe), expected updates=int [0, inf)",
        ),
        (
            ["algo=logged", "env_steps=50000", "updates=60"],
            "env_steps=50000: algo logged learns offline (it has no observe), expected updates=N",
        ),
        (
            ["algo=wrong"],
            "env_steps=60: algo wrong learns offline (it has no observe), expected updates=N",
        ),
        (
            ["algo=random", "updates=60"],
            "updates=60: algo random learns online, expected env_steps=N",
        ),
        (["algo=acting"], "updates=60: algo acting learns online, expected env_steps=N"),
    ],
)
def test_the_budget_of_the_other_kind_is_refused(mine, typed, line):
    assert refused(mine(*typed, *SMALL, PLUGIN)) == line
    assert [path.name for path in Path.cwd().iterdir()] == ["mine"]


def test_a_tuned_file_gives_the_budget_and_resume_raises_it(mine):
    where = "hydra.run.dir=run"
    said = mine("algo=tuned_logged", *SMALL, PLUGIN, where)
    assert said.code == 0, said.err
    assert json.loads(Path("run/run.json").read_text())["updates"] == 60
    said = mine("mode=resume", "run=run", "updates=80", PLUGIN)
    assert said.code == 0, said.err
    assert json.loads(Path("run/run.json").read_text())["updates"] == 80
    line = refused(mine("mode=resume", "run=run", "env_steps=90", PLUGIN))
    assert line == "env_steps=90: the run counts updates, expected updates=N"


@pytest.fixture
def sweep(mine, capsys):
    """A sweep of an offline and an online learner, of two seeds each."""
    kinds = "algo=tuned_logged,random"
    said = mine("-m", kinds, *SMALL, PLUGIN, "hydra.sweep.dir=s")
    assert said.code == 0, said.err
    return Path("s")


def test_a_sweep_has_both_and_its_budgets_are_its_jobs_own(mine, sweep):
    line = refused(mine("mode=resume", "run=s", "updates=90", PLUGIN))
    assert line == "updates: the jobs of a sweep have their own; resume one of them"
    online, offline = (
        json.loads(next(sweep.glob(f"{number}_*/run.json")).read_text()) for number in (1, 0)
    )
    assert (online["env_steps"], "updates" in online) == (0, False)
    assert (offline["updates"], "env_steps" in offline) == (60, False)


def test_a_budget_typed_for_all_jobs_refuses_those_that_count_otherwise(mine):
    said = mine("-m", "algo=logged,random", *SMALL, PLUGIN, "updates=20", "hydra.sweep.dir=s")
    assert said.code == 1
    jobs = json.loads(Path("s/sweep.json").read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["finished", "refused"]
    assert jobs[1]["error"] == "updates=20: algo random learns online, expected env_steps=N"


@pytest.mark.parametrize("by", [[], ["--by", "algo"]])
def test_a_report_never_draws_both_on_one_axis(sweep, by, capsys):
    assert report([str(sweep), "--out", "report", *by]) == 0
    written = {path.name for path in Path("report").glob("curves*.png")}
    assert written == {"curves.png", "curves_updates.png"}
    shown = capsys.readouterr().out
    assert "| matrix_game over updates | tuned_logged | 2 |" in shown
    assert "| matrix_game over env steps | random | 2 |" in shown
    points = list(csv.DictReader(Path("report/curves.csv").read_text().splitlines()))
    counts = {(row["algorithm"], row["env_steps"], row["updates"]) for row in points}
    assert counts == {
        ("random", "0", ""),
        *(("tuned_logged", "", str(at)) for at in (0, 20, 40, 60)),
    }
    seeds = list(csv.DictReader(Path("report/seeds.csv").read_text().splitlines()))
    assert {(row["algo"], row["unit"], row["last_step"]) for row in seeds} == {
        ("random", "env_steps", "0"),
        ("tuned_logged", "updates", "60"),
    }


def test_a_report_of_offline_learners_alone_says_updates(sweep):
    assert report([str(next(sweep.glob("0_*"))), "--out", "report"]) == 0
    assert {path.name for path in Path("report").glob("curves*.png")} == {"curves_updates.png"}
    head = Path("report/seeds.csv").read_text().splitlines()[0]
    assert "last_update" in head and "last_step" not in head
    assert "updates" in Path("report/curves.csv").read_text().splitlines()[0]


def test_its_promises_are_tried(mine):
    said = mine("mode=check", "algo=logged", "env=matrix_game", PLUGIN)
    summary = json.loads(said.out.splitlines()[-1])
    # Its YAML leaves out parameters that have defaults in Python.
    assert (said.code, summary["failed"]) == (1, ["algo/declared"]), said.out
    assert {"algo/moves", "algo/resume", "algo/company"}.isdisjoint(summary["skipped"])
