"""What is compared with what."""

from pathlib import Path

import pytest
from report.fakes import TAG, write_run

from marlrun.report.analysis import groups
from marlrun.report.data import read
from marlrun.report.data.notes import Notes


@pytest.fixture
def notes() -> Notes:
    return Notes()


def group(folder: Path, notes: Notes, by=None, swept=()):
    runs, _ = read.find([folder], Notes())
    trials = [trial for run in runs for trial in read.read_run(run, TAG, notes)]
    return groups.group(trials, [read.Sweep(list(swept))], by, notes)


def names(found):
    return [(one.task, one.algorithm, [trial.seed for trial in one.trials]) for one in found]


def test_a_sweep_gives_tasks_and_algorithms_in_the_order_of_numbers(tmp_path: Path, notes: Notes):
    for i, (size, beta) in enumerate((s, b) for s in (10, 3) for b in (0.2, 0.4)):
        keys = {"env_keys": {"size": size}, "algo_keys": {"beta": beta}}
        write_run(tmp_path / str(i), {0: [0.1], 1: [0.2]}, **keys)
    assert names(group(tmp_path, notes)) == [
        ("target_capture size=3", "dec_hdrqn beta=0.2", [0, 1]),
        ("target_capture size=3", "dec_hdrqn beta=0.4", [0, 1]),
        ("target_capture size=10", "dec_hdrqn beta=0.2", [0, 1]),
        ("target_capture size=10", "dec_hdrqn beta=0.4", [0, 1]),
    ]
    assert len(notes) == 0


def test_what_follows_from_the_choice_is_not_named_unless_it_was_typed(tmp_path, notes):
    write_run(tmp_path / "a", {0: [0.1]}, algo="dec_drqn", algo_keys={"beta": 1.0})
    write_run(tmp_path / "b", {0: [0.1]}, algo="dec_hdrqn")
    assert [one.algorithm for one in group(tmp_path, notes)] == ["dec_drqn", "dec_hdrqn"]
    found = group(tmp_path, notes, swept=["algo.beta"])
    assert [one.algorithm for one in found] == ["dec_drqn beta=1.0", "dec_hdrqn beta=0.3"]


def test_how_a_run_was_carried_out_is_no_difference(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "a", {0: [0.1]}, root={"device": "cpu"})
    write_run(tmp_path / "b", {1: [0.1]}, root={"device": "cuda", "eval": {"every": 9}})
    assert names(group(tmp_path, notes)) == [("target_capture", "dec_hdrqn", [0, 1])]


def test_runs_that_differ_only_in_name_are_two_groups(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "a", {0: [0.1]})
    write_run(tmp_path / "b", {0: [0.2]}, root={"name": "wide net"})
    assert names(group(tmp_path, notes)) == [
        ("target_capture", "dec_hdrqn", [0]),
        ("target_capture", "dec_hdrqn name=wide net", [0]),
    ]
    assert len(notes) == 0
    assert names(group(tmp_path, notes, by=["algo"])) == [("target_capture", "dec_hdrqn", [0, 0])]
    assert (
        "pool runs which differ in name: dec_hdrqn on target_capture (null, wide net)"
        in "".join(notes.lines(9))
    )


def test_a_name_that_follows_from_the_game_is_not_named(tmp_path: Path, notes: Notes):
    for size in (3, 4):
        typed = {"argv": ["marlrun", f"env.size={size}", f"name=grid{size}"]}
        root = {"name": f"grid{size}"}
        write_run(
            tmp_path / str(size), {0: [0.1]}, env_keys={"size": size}, root=root, record=typed
        )
    found = [(one.task, one.algorithm) for one in group(tmp_path, notes)]
    assert found == [("target_capture size=3", "dec_hdrqn"), ("target_capture size=4", "dec_hdrqn")]


def test_an_option_that_older_runs_lack(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "old", {0: [0.1]})
    write_run(tmp_path / "new", {0: [0.1]}, algo_keys={"double_q": True})
    found = [one.algorithm for one in group(tmp_path, notes)]
    assert found == ["dec_hdrqn", "dec_hdrqn double_q=true"]


def test_graphs_are_told_apart_and_named_only_where_there_are_some(tmp_path: Path, notes: Notes):
    for name in ("ring", "none"):
        choices = {"algo": "networked_ac_q", "env": "target_capture", "graph": name}
        graph = {"_target_": f"marlrun.graphs.topologies.{name}", "weights": "metropolis"}
        write_run(tmp_path / name, {0: [0.1]}, root={"graph": graph, "choices": choices})
    assert [one.algorithm for one in group(tmp_path, notes)] == [
        "networked_ac_q graph=none",
        "networked_ac_q graph=ring",
    ]
    write_run(tmp_path / "silent", {0: [0.1]})
    assert [one.algorithm for one in group(tmp_path / "silent", notes)] == ["dec_hdrqn"]


def test_a_seed_counts_once_the_finished_longest_newest(tmp_path: Path, notes: Notes):
    budget = {"root": {"env_steps": 200}}
    first = {0: [0.1, 0.2, 0.3], 1: [0.4, 0.5]}
    write_run(tmp_path / "a", first, status="interrupted", **budget)
    write_run(tmp_path / "b", {0: [0.1, 0.2]}, record={"started": "2026-11-23"}, **budget)
    write_run(tmp_path / "c", {0: [0.1, 0.2]}, **budget)
    (found,) = group(tmp_path, notes)
    assert [(trial.seed, Path(trial.run.name).name) for trial in found.trials] == [
        (0, "b"),
        (1, "a"),
    ]
    told = "\n".join(notes.lines(9))
    assert "Seeds found twice" in told
    assert told.count("(kept:") == 2


def test_runs_of_different_budgets_are_not_pooled(tmp_path: Path, notes: Notes):
    for algo in ("a", "b"):
        write_run(tmp_path / f"{algo}1", {0: [0.1, 0.2], 1: [0.1, 0.2]}, algo=algo)
        write_run(tmp_path / f"{algo}2", {0: [0.1, 0.2, 0.9]}, algo=algo)
    assert names(group(tmp_path, notes)) == [
        ("target_capture env_steps=100", "a", [0, 1]),
        ("target_capture env_steps=100", "b", [0, 1]),
        ("target_capture env_steps=200", "a", [0]),
        ("target_capture env_steps=200", "b", [0]),
    ]
    assert "Seeds found twice" not in "".join(notes.lines(9))


def test_a_budget_that_follows_from_the_game_is_not_named(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "3", {0: [0.1, 0.2]}, env_keys={"size": 3})
    write_run(tmp_path / "8", {0: [0.1, 0.2, 0.9]}, env_keys={"size": 8})
    found = [one.task for one in group(tmp_path, notes)]
    assert found == ["target_capture size=3", "target_capture size=8"]


def test_by_pools_what_it_does_not_name_and_says_so(tmp_path: Path, notes: Notes):
    for beta in (0.2, 0.4):
        write_run(tmp_path / f"{beta}", {0: [beta]}, algo_keys={"beta": beta})
    write_run(tmp_path / "grid", {0: [0.2]}, env="meeting_grid")
    found = group(tmp_path, notes, by=["algo"])
    assert names(found) == [
        ("meeting_grid", "dec_hdrqn", [0]),
        ("target_capture", "dec_hdrqn", [0, 0]),
    ]
    told = "\n".join(notes.lines(9))
    assert "pool runs which differ in algo.beta: dec_hdrqn on target_capture (0.2, 0.4)" in told


def test_a_mistyped_by_is_refused(tmp_path: Path, notes: Notes):
    write_run(tmp_path / "a", {0: [0.1]})
    with pytest.raises(ValueError, match=r"--by algo\.bete: no run .* did you mean algo\.beta\?"):
        group(tmp_path, notes, by=["algo.bete"])


def test_keys_are_short_where_that_is_clear():
    assert groups.short(["env.size", "algo.beta", "algo.size"]) == {
        "env.size": "env.size",
        "algo.beta": "beta",
        "algo.size": "algo.size",
    }
