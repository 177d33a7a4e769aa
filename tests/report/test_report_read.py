"""Run and sweep directories are read as far as they can be, and what can't is told."""

import json
from pathlib import Path

import numpy as np
import pytest
from report.fakes import TAG, write_run

from marlrun.report.data import read
from marlrun.report.data.notes import Notes


@pytest.fixture
def notes() -> Notes:
    return Notes()


def told(notes: Notes) -> str:
    return "\n".join(notes.lines(100))


def test_finds_runs_in_and_below_each_once_and_nothing_else(tmp_path: Path, notes: Notes):
    one = write_run(tmp_path / "sweep/0", {0: [0.1]})
    two = write_run(tmp_path / "two", {0: [0.1]})
    write_run(one / "checkpoints/inner", {0: [0.1]})
    (tmp_path / "sweep/.hydra").mkdir()
    (tmp_path / "sweep/.hydra/config.yaml").write_text("a: 1")
    (tmp_path / "sweep/conf").mkdir()
    (tmp_path / "sweep/conf/config.yaml").write_text("a: 1")
    assert read.find([tmp_path, one], notes) == ([one, two], [])
    assert len(notes) == 0


def test_a_run_that_is_a_sweep_too(tmp_path: Path, notes: Notes):
    top = write_run(tmp_path / "top", {0: [0.1]})
    job = write_run(top / "0_beta=0.1", {0: [0.1]})
    (top / "sweep.json").write_text('{"swept": ["algo.beta"], "jobs": []}')
    assert read.find([tmp_path], notes) == ([top, job], [read.Sweep(["algo.beta"])])


def test_links_are_followed_each_run_once_and_never_in_circles(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "elsewhere/run", {0: [0.1]})
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/mine").symlink_to(run)
    (tmp_path / "shown/up").symlink_to(tmp_path / "shown")
    assert read.find([tmp_path / "shown"], notes)[0] == [tmp_path / "shown/mine"]
    assert len(read.find([tmp_path], notes)[0]) == 1


def test_reads_every_seed(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {3: [0.1, 0.2], 4: [0.5]})
    one, two = read.read_run(run, TAG, notes)
    assert (one.seed, one.steps.tolist(), one.values.tolist()) == (3, [0, 100], [0.1, 0.2])
    assert (one.seconds.tolist(), one.final) == ([0.5, 1.5], 0.2)
    assert (two.seed, two.steps.tolist(), two.final) == (4, [0], 0.5)
    assert one.run.settings["algo"] == "dec_hdrqn"
    assert one.run.settings["env"] == "target_capture"
    assert len(notes) == 0


def test_the_slow_and_the_fast_way_to_numbers_agree(tmp_path: Path, notes: Notes):
    values = {0: [1.5, -2e-7, 3.0], 1: [0.0, 1e300, 2.0]}
    fast = read.read_run(write_run(tmp_path / "fast", values), TAG, notes)
    slow = write_run(tmp_path / "slow", values)
    spaced = (slow / "metrics.jsonl").read_text().replace(": ", ":").replace("{", "{ ")
    (slow / "metrics.jsonl").write_text(spaced)
    for one, other in zip(fast, read.read_run(slow, TAG, notes), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.steps, other.steps)
        np.testing.assert_array_equal(one.seconds, other.seconds)


@pytest.mark.parametrize("word", ["NaN", "null", "Infinity", "1e999", '"high"', "1" + 400 * "0"])
def test_a_value_that_is_no_number_is_nan(tmp_path: Path, notes: Notes, word: str):
    run = write_run(tmp_path / "run", {0: [0.1, 7.25, 0.3]})
    metrics = run / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace("7.25", word))
    (trial,) = read.read_run(run, TAG, notes)
    np.testing.assert_array_equal(trial.values, [0.1, np.nan, 0.3])


@pytest.mark.parametrize("key", ["results", "seeds"])
def test_numbers_too_large_for_a_float(tmp_path: Path, notes: Notes, key: str):
    large = [10**400]
    told = {"results": {TAG: large}} if key == "results" else {"seeds": large}
    run = write_run(tmp_path / "run", {0: [0.1, 0.2]}, record=told)
    (trial,) = read.read_run(run, TAG, notes)
    assert trial.values.tolist() == [0.1, 0.2]
    assert trial.final is None or np.isnan(trial.final)


def test_a_line_cut_off_is_left_out_never_its_half_number(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {0: [0.1, 0.23456]}, status="running")
    metrics = run / "metrics.jsonl"
    text = metrics.read_text()
    metrics.write_text(text[: text.index("0.23456") + 4])
    (trial,) = read.read_run(run, TAG, notes)
    assert (trial.values.tolist(), trial.final) == ([0.1], None)
    assert "the last line is cut off" in told(notes)
    assert "running, 100 of 100 steps" in told(notes)


def test_how_far_a_running_one_is_stands_in_its_metrics(tmp_path: Path, notes: Notes):
    began = {"env_steps": 0}
    run = write_run(tmp_path / "run", {0: [0.1, 0.2, 0.3]}, status="running", record=began)
    read.read_run(run, TAG, notes)
    assert "running, 200 of 200 steps" in told(notes)


def test_a_damaged_line_in_the_middle(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {0: [0.1, 0.2, 0.3]})
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines[2] = lines[2][:-5]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    (trial,) = read.read_run(run, TAG, notes)
    assert trial.steps.tolist() == [0, 200]
    assert "line 3 is damaged" in told(notes)


def test_of_a_step_logged_twice_the_last_counts(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {0: [0.1, 0.2]})
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"env_steps": 100, "seed": 0, TAG: 0.9}) + "\n")
    (trial,) = read.read_run(run, TAG, notes)
    assert trial.values.tolist() == [0.1, 0.9]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("run.json", "{", "could not be read"),
        ("run.json", "[]", "not a mapping"),
        ("config.yaml", "a: [", "could not be read"),
        ("config.yaml", "!!python/object:os.system {}", "could not be read"),
    ],
)
def test_damaged_documents_are_told(tmp_path: Path, notes: Notes, name, text, words):
    run = write_run(tmp_path / "run", {0: [0.1]})
    (run / name).write_text(text)
    assert read.read_run(run, TAG, notes) == []
    assert words in told(notes)
    assert f"run/{name}" in told(notes)


def test_an_older_run_json_with_keys_missing(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {0: [0.1, 0.2]})
    (run / "run.json").write_text('{"status": "finished"}')
    (trial,) = read.read_run(run, TAG, notes)
    assert (trial.values.tolist(), trial.final) == ([0.1, 0.2], None)
    (run / "metrics.jsonl").unlink()
    assert read.read_run(run, TAG, notes) == []
    assert "curves could not be read" in told(notes)


def test_a_run_that_died_before_run_json(tmp_path: Path, notes: Notes):
    run = write_run(tmp_path / "run", {0: [0.1]})
    (run / "run.json").unlink()
    assert read.find([tmp_path], notes)[0] == [run]
    assert read.read_run(run, TAG, notes) == []
    assert "without run.json" in told(notes)


def test_a_sweep_tells_its_keys_and_the_jobs_without_a_run(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "0_x", {0: [0.1]})
    jobs = [
        {"number": 0, "overrides": ["algo=x"], "directory": "0_x", "status": "finished"},
        {"number": 1, "overrides": ["algo.beta=7"], "directory": "1_y", "status": "refused",
         "error": "algo.beta=7: expected float (0, 1]"},
        {"number": 2, "overrides": [], "directory": "2_z", "status": "waiting"},
    ]  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps({"swept": ["algo.beta"], "jobs": jobs}))
    runs, sweeps = read.find([tmp_path], notes)
    assert (len(runs), [sweep.swept for sweep in sweeps]) == (1, [["algo.beta"]])
    assert "job 1 refused: algo.beta=7: expected float (0, 1] (algo.beta=7)" in told(notes)
    assert "job 2 waiting" in told(notes)
    assert "job 0" not in told(notes)
