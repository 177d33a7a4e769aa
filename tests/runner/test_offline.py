"""Learners without acting data of their own: their runs count updates, and nothing else differs."""

import json
import multiprocessing
import signal

import pytest
from runner import fakes
from runner.compare import assert_same_run, hyperparameters, record, rows, scalars
from runner.logged import LoggedPlay, config

from marlrun.config.nested import leaves
from marlrun.runner import documents
from marlrun.runner.build import is_offline
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.train import resume, train

PLUGINS = ["runner"]


def interrupt(directory, at, **changes):
    """Run the small job, interrupted by SIGTERM at update `at`; later calls must not see that."""
    outcome = train(config(algo__signal_at=at, **changes), directory, [])
    forget_signal(directory)
    return outcome


def forget_signal(directory):
    stored = directory / "config.yaml"
    lines = stored.read_text().splitlines(keepends=True)
    stored.write_text("".join(line for line in lines if "signal" not in line))


def test_it_learns_and_everything_counts_updates(tmp_path, capsys):
    outcome = train(config(), tmp_path, [])
    assert outcome.status == "finished", outcome.error
    log = rows(tmp_path, perf=True)
    assert all("env_steps" not in row for row in log)
    logged = [row["updates"] for row in log if "loss/value" in row and row["seed"] == 3]
    assert logged == [20, 40, 60, 80, 100, 120]
    shown = [(row["updates"], row["seed"]) for row in log if "eval/return_mean" in row]
    assert shown == [(at, seed) for at in (0, 40, 80, 120) for seed in (3, 4)]
    first, last = ([row for row in log if row["updates"] == at] for at in (0, 120))
    assert all(row["eval/return_fraction"] < 0.7 for row in first)
    assert all(row["eval/return_fraction"] == 1.0 for row in last)
    assert outcome.results["eval/return_fraction"] == [1.0, 1.0]
    told = capsys.readouterr()
    lines = [line.split()[:2] for line in told.err.splitlines()[7:]]
    assert lines == [[f"{at}/120", "updates"] for at in (0, 40, 80, 120)]
    assert "updates/s" in told.err and "step" not in told.err


def test_its_rows_have_no_training_episodes_and_only_one_speed(tmp_path):
    train(config(), tmp_path, [])
    (row, _) = [row for row in rows(tmp_path, perf=True) if row["updates"] == 20]
    assert row.keys() == {
        *("updates", "seed", "loss/value", "data/env_steps"),
        "perf/updates_per_s",
    }
    assert row["data/env_steps"] == 200


def test_its_documents_and_files_say_updates(tmp_path):
    train(config(), tmp_path, [])
    assert "env_steps" not in record(tmp_path) and record(tmp_path)["updates"] == 120
    stored = documents.read_config(tmp_path)
    assert "env_steps" not in stored and stored["updates"] == 120
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.pt", "update_120.pt", "update_90.pt"]
    shown = hyperparameters(tmp_path / "tb/seed_3")
    assert shown["updates"] == 120 and "env_steps" not in shown
    curve = scalars(tmp_path / "tb/seed_3", "eval/return_mean")
    assert [at for at, _ in curve] == [0, 40, 80, 120]


@pytest.mark.parametrize("at", [1, 20, 47, 60])
def test_interrupted_and_resumed_is_the_same_run(tmp_path, at, capsys):
    train(config(), tmp_path / "whole", [])
    assert interrupt(tmp_path / "cut", at).status == "interrupted"
    assert f"interrupted at update {at}; to go on: " in capsys.readouterr().err
    assert record(tmp_path / "cut")["updates"] == at
    assert resume(tmp_path / "cut", None, PLUGINS).status == "finished"
    assert f"going on from update {at}\n" in capsys.readouterr().err
    assert record(tmp_path / "cut")["resumed"][0]["updates"] == at
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_killed_and_resumed_is_the_same_run(tmp_path):
    train(config(), tmp_path / "whole", [])
    job = config(algo__signal_at=47, algo__signal=int(signal.SIGKILL))
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=train, args=(job, tmp_path / "cut", []))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    forget_signal(tmp_path / "cut")
    assert resume(tmp_path / "cut", None, PLUGINS).status == "finished"
    assert record(tmp_path / "cut")["resumed"][0]["updates"] == 30
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("half", [60, 62])
def test_trained_for_longer_is_the_long_run(tmp_path, half, capsys):
    train(config(), tmp_path / "whole", [])
    train(config(updates=half), tmp_path / "parts", [])
    assert resume(tmp_path / "parts", None, PLUGINS).status == "finished"
    assert f"is finished; updates=N above {half} would" in capsys.readouterr().err
    assert resume(tmp_path / "parts", None, PLUGINS, updates=120).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_the_same_job_in_the_same_directory_goes_on(tmp_path):
    train(config(), tmp_path / "whole", [])
    interrupt(tmp_path / "cut", 33)
    assert train(config(), tmp_path / "cut", []).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_replica_alone_equals_the_same_in_company(tmp_path):
    train(config(), tmp_path / "company", [])
    train(config(seed=4, replicas=1), tmp_path / "alone", [])
    company = [row for row in rows(tmp_path / "company") if row["seed"] == 4]
    assert company == rows(tmp_path / "alone")


def test_it_is_evaluated_and_filmed(tmp_path, capsys):
    train(config(), tmp_path, [])
    keys = {"episodes": 5, "seed": None, "device": "cpu", "threads": 1, "plugins": PLUGINS}
    evaluate_run(tmp_path, checkpoint="latest", video=True, **keys)
    told = capsys.readouterr()
    assert "update_120.pt: update 120, 5 fresh episodes a seed" in told.err
    assert json.loads(told.out.splitlines()[-1])["eval/return_fraction"] == 1.0
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["update_120_seed_3.gif"]


def test_copies_that_nobody_plays_are_told(tmp_path, capsys):
    assert train(config(env__num_envs=3), tmp_path, []).status == "finished"
    assert "env.num_envs=3 changes nothing: the learner is offline" in capsys.readouterr().err


def test_nan_names_the_update(tmp_path):
    outcome = train(config(algo__lr=1e30), tmp_path, [])
    assert outcome.status == "failed"
    assert "in loss/value at update 20, replica with seed 3" in record(tmp_path)["error"]


def test_a_wrong_metric_is_a_sentence(tmp_path):
    outcome = train(config(algo___target_="runner.logged.Scalar"), tmp_path, [])
    assert outcome.status == "failed"
    assert record(tmp_path)["error"] == (
        "update: loss/value has shape [], expected [R] = [2] or [R, N] = [2, 2] (types.Metrics)"
    )


def test_a_learner_is_offline_whose_class_has_no_observe():
    assert is_offline(config()["algo"], PLUGINS)
    assert not is_offline(fakes.config()["algo"], PLUGINS)
    assert not hasattr(LoggedPlay, "observe")


ONLINE = {key: fakes.config()[key] for key in ("algo", "env")} | {"choices": {"algo": "bandit"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env_steps": 50, "updates": None},
            "env_steps=50: algo logged_play learns offline (it has no observe), expected updates=N",
        ),
        (
            {"env_steps": 50},
            "env_steps=50: algo logged_play learns offline (it has no observe), expected updates=N",
        ),
        (
            {"updates": None},
            "updates missing: algo logged_play learns offline (it has no observe), expected updates=int [0, inf)",
        ),
        (ONLINE, "updates=120: algo bandit learns online, expected env_steps=N"),
        (
            {"updates": -1},
            "updates=-1: expected int [0, inf) or null "
            "(updates of an offline learner, in the place of env_steps)",
        ),
    ],
)
def test_a_wrong_budget_is_refused_and_leaves_nothing(tmp_path, changes, message):
    with pytest.raises(ValueError) as refused:
        train(config(**changes), tmp_path / "run", [])
    assert str(refused.value) == message
    assert not (tmp_path / "run").exists()


def test_an_online_learner_has_a_budget_without_saying_so(tmp_path):
    stop = {"algo": {"_target_": "runner.fakes.Bandit", "stop_at": 1}, "env": ONLINE["env"]}
    train(config(**stop, updates=None), tmp_path, [])
    stored = documents.read_config(tmp_path)
    assert stored["env_steps"] == 50_000 and "updates" not in stored


@pytest.mark.parametrize(
    ("make", "typed", "message"),
    [
        (config, {"env_steps": 200}, "env_steps=200: the run counts updates, expected updates=N"),
        (
            fakes.config,
            {"updates": 200},
            "updates=200: the run counts env steps, expected env_steps=N",
        ),
        (config, {"updates": 90}, "updates=90: the run has 120 already, expected more"),
    ],
)
def test_a_wrong_new_total_is_refused_and_changes_nothing(tmp_path, make, typed, message):
    train(make(), tmp_path, [])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError) as refused:
        resume(tmp_path, typed.get("env_steps"), PLUGINS, typed.get("updates"))
    assert str(refused.value) == message
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_stored_budget_of_the_other_unit_is_refused(tmp_path):
    interrupt(tmp_path, 33)
    stored = tmp_path / "config.yaml"
    stored.write_text(stored.read_text().replace("updates: 120", "env_steps: 120"))
    with pytest.raises(ValueError, match="env_steps=120: algo logged_play learns offline"):
        resume(tmp_path, None, PLUGINS)


def test_a_lost_checkpoint_is_not_written_over(tmp_path):
    interrupt(tmp_path, 33)
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="was trained and has no checkpoint"):
        resume(tmp_path, None, PLUGINS)
    assert any(key == "updates" for key, _ in leaves(record(tmp_path)))


def test_a_checkpoint_of_the_other_unit_is_refused(tmp_path):
    train(fakes.config(env_steps=60), tmp_path / "online", [])
    interrupt(tmp_path / "offline", 33)
    foreign = tmp_path / "online/checkpoints/step_60.pt"
    (tmp_path / "offline/checkpoints/step_60.pt").write_bytes(foreign.read_bytes())
    with pytest.raises(ValueError, match=r"step_60.pt does not fit config.yaml: [^\n]+$"):
        resume(tmp_path / "offline", None, PLUGINS)
