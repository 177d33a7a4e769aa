"""What holds whichever launcher does the jobs."""

import os
import signal
from pathlib import Path

import pytest
from launchers.sweeps import (
    SMALL,
    TRIVIAL,
    end,
    jobs,
    marlrun,
    start,
    started,
    statuses,
    until,
)

PLUGIN = "plugins=[launchers.accidents]"
BREAKING = """\
# Breaks down if its number is odd
_target_: launchers.accidents.Breaking
number: 1            # int [0, inf): odd numbers break down
"""
REFUSING = """\
# Cannot be built
_target_: launchers.accidents.Refusing
"""


@pytest.fixture
def own(tmp_path):
    """A directory of a user's own configuration."""
    folder = tmp_path / "own" / "algo"
    folder.mkdir(parents=True)
    (folder / "breaking.yaml").write_text(BREAKING)
    (folder / "refusing.yaml").write_text(REFUSING)
    return folder.parent


def test_bad_jobs_hide_nothing_and_stop_nothing(tmp_path, own):
    kinds = ["algo=breaking,refusing,random", "env=matrix_game", "env_steps=100"]
    said = marlrun(tmp_path, "--config-dir=own", "-m", *kinds, PLUGIN, "hydra.sweep.dir=sweep")
    assert said.code == 1 and "Traceback" not in said.err + said.out
    lines = said.out.splitlines()
    (header,) = (i for i, line in enumerate(lines) if line.startswith("status "))
    table = [line.split()[0] for line in lines[header + 1 : header + 4]]
    assert table == ["failed", "refused", "finished"]
    broken, refused, good = jobs(tmp_path / "sweep")
    assert statuses(tmp_path / "sweep") == ["failed", "refused", "finished"]
    assert broken["error"].startswith("ArithmeticError: the update broke down at update 50")
    assert "launchers.accidents.Refusing cannot be built: nothing to build with" in refused["error"]
    assert good["results"]["eval/return_mean"]
    assert broken["error"] in lines[header + 1] and refused["error"] in lines[header + 2]
    log = (tmp_path / "sweep" / broken["directory"] / "marlrun.log").read_text()
    assert "Traceback" in log and "in update" in log
    assert lines[-2:] == [
        "3 jobs: 1 failed, 1 refused, 1 finished",
        "to go on: marlrun mode=resume run=sweep",
    ]


def test_a_job_for_a_device_that_is_not_there_is_refused(tmp_path):
    said = marlrun(
        tmp_path, "-m", *TRIVIAL, "device=cuda,cpu", "hydra.sweep.dir=s", CUDA_VISIBLE_DEVICES=""
    )
    assert said.code == 1 and statuses(tmp_path / "s") == ["refused", "finished"]
    assert jobs(tmp_path / "s")[0]["error"].startswith("device=cuda")


def test_editing_the_configuration_changes_no_job(tmp_path, own):
    """Not the jobs that have not begun, nor one that is resumed."""
    kinds = ["algo=breaking", "env=matrix_game", "seed=1,2,3", "env_steps=40"]
    (own / "algo" / "breaking.yaml").write_text(BREAKING.replace("number: 1 ", "number: 2 "))
    first = tmp_path / "sweep" / "0_seed=1"
    argv = ["--config-dir=own", "-m", *kinds, PLUGIN, "hydra.sweep.dir=sweep"]
    with started(tmp_path, *argv) as process:
        until(first.exists)
        (own / "algo" / "breaking.yaml").write_text("_target_: [")
        said = end(process)
    assert said.code == 0, said.err
    assert [job["config"]["algo"]["number"] for job in jobs(tmp_path / "sweep")] == [2, 2, 2]
    for job in jobs(tmp_path / "sweep"):
        config = (tmp_path / "sweep" / job["directory"] / "config.yaml").read_text()
        assert "number: 2" in config


def test_sweeps_that_start_at_once_have_directories_of_their_own(tmp_path):
    both = [start(tmp_path, "-m", *TRIVIAL, "seed=1,2") for _ in range(2)]
    assert [end(process).code for process in both] == [0, 0]
    found = list(tmp_path.glob("outputs/*/*/sweep.json"))
    assert len(found) == 2 and all(statuses(path.parent) == ["finished"] * 2 for path in found)


def test_one_directory_holds_one_sweep(tmp_path):
    """Of two that begin at once, one wins; one that comes later is told how to go on."""
    argv = ["-m", *TRIVIAL, "seed=1,2", "hydra.sweep.dir=sweep"]
    both = [end(process) for process in [start(tmp_path, *argv) for _ in range(2)]]
    assert sorted(said.code for said in both) == [0, 2]
    later = marlrun(tmp_path, *argv)
    for said in (next(said for said in both if said.code == 2), later):
        assert said.out == "" and said.err.count("\n") == 1 and "sweep" in said.err
    assert "holds a sweep already; mode=resume run=sweep goes on with it" in later.err
    assert statuses(tmp_path / "sweep") == ["finished"] * 2
    again = marlrun(tmp_path, "mode=resume", "run=sweep")
    assert again.code == 0 and "all jobs are finished, nothing to do" in again.err


def test_a_sweep_that_is_being_done_is_not_resumed(tmp_path):
    long = ["algo=dec_hdrqn", *SMALL, "env_steps=1000000"]
    with started(tmp_path, "-m", *long, "hydra.sweep.dir=sweep") as process:
        until(lambda: statuses(tmp_path / "sweep") == ["running"])
        said = marlrun(tmp_path, "mode=resume", "run=sweep")
        assert said.code == 2 and "sweep: another process is doing this sweep" in said.err
        until(lambda: list(Path(tmp_path).glob("sweep/*/metrics.jsonl")))
        os.kill(process.pid, signal.SIGTERM)
        assert end(process).code == 130
    assert statuses(tmp_path / "sweep") == ["interrupted"]
