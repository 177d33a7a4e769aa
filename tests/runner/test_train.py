import time

import pytest
import torch
from runner.compare import assert_same_run, record, rows
from runner.fakes import Bandit, Foreign, config

from marlrun import exact
from marlrun.runner import documents
from marlrun.runner.train import resume, train
from marlrun.runner.trainer import Training

PLUGINS = ["runner"]


def interrupt(directory, at, **changes):
    """Run the small job, interrupted by SIGTERM at tick `at`; later calls must not see that."""
    outcome = train(config(algo__stop_at=at, **changes), directory, [])
    stored = directory / "config.yaml"
    stored.write_text(stored.read_text().replace(f"  stop_at: {at}\n", ""))
    return outcome


def test_a_run_leaves_everything_behind(tmp_path, capsys):
    argv = ["marlrun", "algo=bandit", "env=walk"]
    choices = {"algo": "bandit", "env": "walk"}
    outcome = train(config(choices=choices), tmp_path, argv)
    assert outcome.status == "finished"
    assert outcome.directory == tmp_path
    told = record(tmp_path)
    assert told["status"] == "finished"
    assert told["argv"] == argv
    assert (told["algo"], told["env"]) == ("bandit", "walk")
    assert told["seeds"] == [3, 4]
    assert told["env_steps"] == 120
    assert told["results"] == outcome.results
    assert set(outcome.results) == {
        "eval/return_mean",
        "eval/length_mean",
        "eval/anticipated_mean",
        "agent/left/return",
        "agent/right/return",
    }
    assert all(len(values) == 2 for values in outcome.results.values())
    assert told["summary"]["eval/length_mean"]["num_values"] == 2
    shown = capsys.readouterr().out
    assert "eval/return_mean" in shown
    assert f"tensorboard --logdir {tmp_path / 'tb'}" in shown


def test_rows_come_when_they_are_due(tmp_path):
    train(config(env__num_envs=3, log__every=20, eval__every=50), tmp_path, [])
    log = rows(tmp_path)
    logged = [row["env_steps"] for row in log if "explore/ticks" in row]
    evaluated = [row["env_steps"] for row in log if "eval/return_mean" in row]
    assert logged == [at for at in (21, 42, 60, 81, 102, 120) for _ in range(2)]
    assert evaluated == [at for at in (0, 51, 102, 120) for _ in range(2)]
    assert [row["seed"] for row in log[:4]] == [3, 4, 3, 4]


def seconds(directory):
    """Return the wall time by env step, the same for both seeds."""
    log = [row for row in rows(directory, perf=True) if "eval/return_mean" in row]
    assert [row.get("perf/seconds") for row in log[::2]] == [
        row.get("perf/seconds") for row in log[1::2]
    ]
    return {row["env_steps"]: row.get("perf/seconds") for row in log}


def test_evaluations_tell_the_wall_time(tmp_path):
    began = time.perf_counter()
    train(config(), tmp_path, [])
    told = seconds(tmp_path)
    assert list(told) == [0, 40, 80, 120]
    assert 0 < told[0] < told[40] < told[80] < told[120] < time.perf_counter() - began
    assert all(
        ("perf/seconds" in row) == ("eval/return_mean" in row) for row in rows(tmp_path, True)
    )
    assert "perf/seconds" not in record(tmp_path)["results"]


def change_newest_checkpoint(directory, **changes):
    path = directory / "checkpoints/step_94.pt"
    state = torch.load(path, weights_only=True) | changes
    kept = {key: value for key, value in state.items() if value is not None}
    torch.save(kept, path)


def test_a_resumed_run_keeps_its_clock(tmp_path):
    interrupt(tmp_path, 47)
    change_newest_checkpoint(tmp_path, seconds=1000.0)
    resume(tmp_path, None, PLUGINS)
    told = seconds(tmp_path)
    assert told[80] < 100
    assert 1000 < told[120] < 1100


def test_a_run_from_before_there_was_a_clock_has_no_wall_time(tmp_path):
    interrupt(tmp_path, 47)
    change_newest_checkpoint(tmp_path, seconds=None)
    assert resume(tmp_path, None, PLUGINS).status == "finished"
    assert seconds(tmp_path)[120] is None


def test_the_exact_values_are_asked_for_once_and_written_down(tmp_path, monkeypatch):
    asked = []

    def solve(env, plugins):
        asked.append(env["goal"])
        return {"optimum": 4.0, "random": 1.0, "best_reply": 3.0}

    train(config(), tmp_path / "unsolvable", [])
    assert record(tmp_path / "unsolvable")["exact"] is None
    monkeypatch.setattr(exact, "solve", solve)
    interrupt(tmp_path / "solvable", 47)
    assert asked == [7]
    told = {"optimum": 4.0, "random": 1.0, "best_reply": 3.0}
    assert record(tmp_path / "solvable")["exact"] == told
    resume(tmp_path / "solvable", None, PLUGINS)
    assert asked == [7, 7]
    assert record(tmp_path / "solvable")["exact"] == told


def test_metrics_are_means_since_the_last_row(tmp_path):
    train(config(env__num_envs=1, log__every=10, env_steps=20), tmp_path, [])
    logged = [row for row in rows(tmp_path) if "explore/ticks" in row]
    ticks = {row["env_steps"]: row["explore/ticks"] for row in logged}
    assert ticks == {10: (3 + 6 + 9) / 3, 20: (12 + 15 + 18) / 3}


def test_checkpoints_are_rotated(tmp_path):
    train(config(checkpoint__keep=2), tmp_path, [])
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.pt", "step_120.pt", "step_60.pt", "step_90.pt"]


def test_zero_steps_only_evaluate(tmp_path):
    outcome = train(config(env_steps=0), tmp_path, [])
    assert outcome.status == "finished"
    assert {row["env_steps"] for row in rows(tmp_path)} == {0}
    assert len(outcome.results["eval/return_mean"]) == 2


@pytest.mark.parametrize("at", [1, 10, 15, 20, 47, 60])
def test_interrupted_and_resumed_is_the_same_run(tmp_path, at):
    train(config(), tmp_path / "whole", [])
    outcome = interrupt(tmp_path / "cut", at)
    assert outcome.status == record(tmp_path / "cut")["status"] == "interrupted"
    assert record(tmp_path / "cut")["env_steps"] == 2 * at
    assert resume(tmp_path / "cut", None, PLUGINS).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_what_is_not_resumable_resumes_at_the_start_of_an_episode(tmp_path, capsys):
    job = {"env___target_": "runner.fakes.Foreign", "env__num_envs": 1, "replicas": 1}
    interrupt(tmp_path, 47, **job)
    checkpoint = torch.load(tmp_path / "checkpoints/step_47.pt", weights_only=True)
    Foreign.resets.clear()
    capsys.readouterr()
    assert resume(tmp_path, None, PLUGINS).status == "finished"
    said = "marlrun: Foreign cannot resume amid an episode: all begin anew\n"
    assert capsys.readouterr().err.count(said) == 1
    # A copy in which the first step is tried resets before, evaluations reset after; the acting
    # environment does so once, and knows how far it had come.
    assert Foreign.resets[1] == checkpoint["env"]["ticks"] == 47
    assert record(tmp_path)["env_steps"] == 120


def test_an_episode_that_was_cut_counts_in_no_mean(tmp_path, monkeypatch):
    # Rewards are 0, or 1 in every step after the resume; episodes have 6 steps.
    job = {"env___target_": "runner.fakes.Foreign", "env__num_envs": 1, "replicas": 1}
    job |= {"env__ends": False, "env__discount": 1.0, "log__every": 6, "checkpoint__every": 6}
    monkeypatch.setattr(Foreign, "paid", 0.0)
    train(config(env_steps=9, **job), tmp_path, [])
    monkeypatch.setattr(Foreign, "paid", 1.0)
    resume(tmp_path, 21, PLUGINS)
    told = {
        row["env_steps"]: row["train/return_mean"]
        for row in rows(tmp_path)
        if "train/return_mean" in row
    }
    assert told == {6: 0.0, 18: 6.0, 21: 6.0}


@pytest.mark.parametrize("half", [60, 62, 80, 100])
def test_a_finished_run_trained_for_longer_is_the_long_run(tmp_path, half):
    train(config(), tmp_path / "whole", [])
    train(config(env_steps=half), tmp_path / "parts", [])
    assert resume(tmp_path / "parts", 120, PLUGINS).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def best_step(directory):
    best = torch.load(directory / "checkpoints/best.pt", weights_only=True)
    return best["env_steps"]


def test_the_best_at_an_end_that_was_not_due_counts_until_it_is_taken_back(tmp_path, monkeypatch):
    scores = {0: 1.0, 40: 2.0, 60: 9.0, 80: 3.0, 120: 2.0}

    def score(self, purpose, episodes):
        return {"eval/return_mean": torch.full((2,), scores[self.count])}

    monkeypatch.setattr(Training, "_evaluate", score)
    train(config(env_steps=60), tmp_path, [])
    assert best_step(tmp_path) == 60
    resume(tmp_path, 120, PLUGINS)
    assert best_step(tmp_path) == 80
    assert not (tmp_path / "checkpoints/best_before.pt").exists()


def test_the_same_job_in_the_same_directory_goes_on(tmp_path):
    train(config(), tmp_path / "whole", [])
    interrupt(tmp_path / "cut", 33)
    assert train(config(), tmp_path / "cut", []).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_another_job_or_a_finished_one_is_refused(tmp_path):
    interrupt(tmp_path, 33)
    with pytest.raises(ValueError, match="interrupted, another job: seed=4 in place of 3"):
        train(config(seed=4), tmp_path, [])
    train(config(), tmp_path, [])
    with pytest.raises(ValueError, match="holds a run already .finished."):
        train(config(), tmp_path, [])


def test_resuming_a_finished_run_does_nothing(tmp_path, capsys):
    first = train(config(), tmp_path, [])
    before = (tmp_path / "run.json").read_bytes()
    for env_steps in (None, 120):
        again = resume(tmp_path, env_steps, PLUGINS)
        assert (again.status, again.results) == ("finished", first.results)
    assert "is finished" in capsys.readouterr().err
    assert (tmp_path / "run.json").read_bytes() == before


def test_fewer_steps_than_there_are_is_refused(tmp_path):
    train(config(), tmp_path, [])
    with pytest.raises(ValueError, match="env_steps=100: the run has 120 already"):
        resume(tmp_path, 100, PLUGINS)


def test_plugins_of_a_stored_config_count_for_nothing(tmp_path):
    interrupt(tmp_path, 33)
    with pytest.raises(ValueError, match="plugins="):
        resume(tmp_path, None, [])


def test_a_crash_is_told_and_leaves_its_traceback(tmp_path):
    outcome = train(config(algo__fail_at=40), tmp_path, [])
    assert outcome.status == record(tmp_path)["status"] == "failed"
    assert record(tmp_path)["error"] == "RuntimeError: the roof fell in"
    assert "RuntimeError: the roof fell in" in outcome.error
    assert "Traceback" in (tmp_path / "marlrun.log").read_text()
    assert record(tmp_path)["env_steps"] == 78


def test_a_run_whose_game_fails_to_be_solved_has_failed(tmp_path, monkeypatch):
    def solve(env, plugins):
        raise ArithmeticError("singular")

    monkeypatch.setattr(exact, "solve", solve)
    outcome = train(config(), tmp_path, [])
    assert outcome.status == record(tmp_path)["status"] == "failed"
    assert record(tmp_path)["error"] == "ArithmeticError: singular"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: you tried ..")]
)
def test_a_run_that_runs_out_of_memory_says_so(tmp_path, monkeypatch, error):
    def observe(self, before, action, after):
        raise error

    monkeypatch.setattr(Bandit, "observe", observe)
    outcome = train(config(), tmp_path, [])
    assert outcome.status == record(tmp_path)["status"] == "failed"
    assert record(tmp_path)["error"] == "out of memory"
    assert outcome.error == f"out of memory (see {tmp_path / 'marlrun.log'})"


def test_nan_in_a_metric_names_where(tmp_path):
    outcome = train(config(algo__nan_metric_at=27), tmp_path, [])
    expected = "NaN in loss/value at env step 60, replica with seed 4, agent left"
    assert record(tmp_path)["error"] == expected
    assert outcome.status == "failed"


def test_nan_in_a_parameter_never_reaches_a_checkpoint(tmp_path):
    job = config(algo__nan_weight_at=54, log__every=1000, eval__every=1000)
    train(job, tmp_path, [])
    expected = "NaN in learner.values at env step 120, replica with seed 4, agent right"
    assert record(tmp_path)["error"] == expected
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.pt", "step_60.pt", "step_90.pt"]


def test_a_failed_run_can_be_resumed(tmp_path):
    train(config(), tmp_path / "whole", [])
    train(config(algo__fail_at=40), tmp_path / "cut", [])
    stored = tmp_path / "cut" / "config.yaml"
    stored.write_text(stored.read_text().replace("  fail_at: 40\n", ""))
    assert resume(tmp_path / "cut", None, PLUGINS).status == "finished"
    assert record(tmp_path / "cut")["error"] is None
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_best_is_the_highest_mean_over_replicas(tmp_path):
    train(config(algo__lr=0.5), tmp_path, [])
    scores = {}
    for row in rows(tmp_path):
        if "eval/return_mean" in row:
            scores.setdefault(row["env_steps"], []).append(row["eval/return_mean"])
    means = {at: sum(values) / 2 for at, values in scores.items()}
    assert best_step(tmp_path) == max(means, key=means.get)


def test_a_damaged_checkpoint_names_the_older_one(tmp_path):
    interrupt(tmp_path, 47)
    newest = tmp_path / "checkpoints/step_94.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"step_94.pt is damaged.*delete it to go on from step_90"):
        resume(tmp_path, None, PLUGINS)
    newest.unlink()
    train(config(), tmp_path / "whole", [])
    resume(tmp_path, None, PLUGINS)
    assert rows(tmp_path) == rows(tmp_path / "whole")


def test_the_best_learner_is_no_run_to_go_on_with(tmp_path):
    interrupt(tmp_path, 47)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "step_500.pt").write_bytes((checkpoints / "best.pt").read_bytes())
    with pytest.raises(ValueError, match=r"step_500.pt holds a learner, no run; delete it"):
        resume(tmp_path, None, PLUGINS)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("after", {"first": torch.ones(2, 2)}),
        ("after", 3),
        ("best", None),
        ("log_end", "x"),
        ("seconds", "x"),
    ],
)
def test_a_checkpoint_without_all_its_parts_is_refused(tmp_path, key, wrong):
    interrupt(tmp_path, 47)
    path = tmp_path / "checkpoints/step_94.pt"
    torch.save(torch.load(path, weights_only=True) | {key: wrong}, path)
    with pytest.raises(ValueError, match=r"step_94.pt does not fit config.yaml: run: [^\n]+$"):
        resume(tmp_path, None, PLUGINS)


def test_the_chosen_names_outlive_run_json(tmp_path):
    interrupt(tmp_path, 33, choices={"algo": "own", "env": "walk"})
    (tmp_path / "run.json").unlink()
    resume(tmp_path, None, PLUGINS)
    assert (record(tmp_path)["algo"], record(tmp_path)["env"]) == ("own", "walk")


def test_a_run_that_died_before_it_saved_starts_anew(tmp_path, capsys):
    train(config(), tmp_path / "whole", [])
    interrupt(tmp_path / "cut", 20)
    for path in (tmp_path / "cut/checkpoints").iterdir():
        path.unlink()
    log = tmp_path / "cut/metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]))
    (tmp_path / "cut/run.json").unlink()
    capsys.readouterr()
    assert train(config(), tmp_path / "cut", []).status == "finished"
    assert "unfinished: going on" in capsys.readouterr().err
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    interrupt(tmp_path, 47)
    stored = tmp_path / "config.yaml"
    stored.write_text(stored.read_text().replace("num_envs: 2", "num_envs: 3"))
    with pytest.raises(ValueError, match=r"step_94.pt does not fit config.yaml: learner"):
        resume(tmp_path, None, PLUGINS)


def test_wrong_input_leaves_no_directory(tmp_path):
    for wrong, message in (
        (config(env__goal=0), "env.goal=0: expected at least 1"),
        (config(env__gaol=7), "unexpected keyword argument 'gaol'"),
        (config(algo__lr="fast"), "algo runner.fakes.Bandit cannot be built"),
        (config(device="cuda"), "device=cuda: PyTorch finds no GPU"),
        (config(log__every=0), "log.every=0: expected int"),
        (config(plugins=[]), "expected a class in marlrun"),
    ):
        with pytest.raises(ValueError, match=message):
            train(wrong, tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_elsewhere_is_left_alone(tmp_path):
    from marlrun.runner.documents import locked

    interrupt(tmp_path, 33)
    with (
        locked(tmp_path),
        pytest.raises(ValueError, match="another process is training this run"),
    ):
        resume(tmp_path, None, PLUGINS)


def test_a_replica_alone_equals_the_same_in_company(tmp_path):
    job = {
        "algo": {"_target_": "marlrun.algos.random.Random"},
        "env": {"_target_": "runner.fakes.Walk", "num_envs": 2},
    }
    train(config(**job, seed=3, replicas=4), tmp_path / "company", [])
    train(config(**job, seed=5, replicas=1), tmp_path / "alone", [])
    company = [row for row in rows(tmp_path / "company") if row["seed"] == 5]
    assert company == rows(tmp_path / "alone")
    assert company[1]["train/return_mean"] > 0
    for tag, values in record(tmp_path / "alone")["results"].items():
        assert values[0] == record(tmp_path / "company")["results"][tag][2]


@pytest.mark.parametrize("broken", ["", "the first reason"])
def test_a_record_that_cannot_be_written_fails_the_run_which_then_goes_on(
    broken, tmp_path, monkeypatch
):
    """The disk is full when the run ends; if it ended by an error, that is the reason."""
    write = documents.write_record

    def full(directory, record):
        if record["status"] != "running":
            raise OSError(28, "No space left on device", "run.json")
        write(directory, record)

    def break_down(*_):
        raise RuntimeError(broken)

    with monkeypatch.context() as patch:
        patch.setattr(documents, "write_record", full)
        if broken:
            patch.setattr(Training, "finish", break_down)
        outcome = train(config(), tmp_path, [])
    reason = f"RuntimeError: {broken}" if broken else "OSError: [Errno 28] No space left on device"
    assert outcome.status == "failed" and outcome.error.startswith(reason)
    assert documents.read_record(tmp_path)["status"] == "running"
    assert resume(tmp_path, None, PLUGINS).status == "finished"
    assert documents.read_record(tmp_path)["results"]


def test_a_requeued_job_of_an_older_version_is_the_same_job():
    """A configuration names what was chosen; older ones did not name the tuned settings."""
    job = config()
    chosen = {"algo": "a", "tuned": None}
    older = job | {"choices": {"algo": "a"}}
    assert documents.difference(job | {"choices": chosen}, older) is None
    assert documents.difference(job | {"seed": 9}, job) == "seed=9 in place of 3"
    more = job | {"algo": job["algo"] | {"depth": 2}}
    assert documents.difference(more, job) == "only one of the two has algo.depth"
    assert documents.difference(job, more) == "only one of the two has algo.depth"


def test_a_run_whose_record_was_lost_goes_on_and_says_so(tmp_path, capsys):
    train(config(), tmp_path / "whole", [])
    interrupt(tmp_path / "cut", 47)
    (tmp_path / "cut/run.json").unlink()
    capsys.readouterr()
    assert resume(tmp_path / "cut", None, PLUGINS).status == "finished"
    assert "going on from env step 94\n" in capsys.readouterr().err
    assert record(tmp_path / "cut")["resumed"][0]["env_steps"] == 94
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
