"""What holds whichever launcher does the jobs."""

import os
import signal
import subprocess

import pytest
from sweeps.accidents import BREAKING, PLUGIN
from sweeps.desk import INTO, JOBLIB, SMALL, TRIVIAL, Desk, end, until


def test_bad_jobs_hide_nothing_and_stop_nothing(desk, own):
    kinds = ["algo=breaking,refusing,random", "env=matrix_game", "env_steps=100"]
    said = desk.sweeps("--config-dir=own", *kinds, PLUGIN)
    assert said.code == 1 and "Traceback" not in said.err + said.out
    lines = said.out.splitlines()
    (header,) = (i for i, line in enumerate(lines) if line.startswith("status "))
    table = [line.split()[0] for line in lines[header + 1 : header + 4]]
    assert table == ["failed", "refused", "finished"]
    broken, refused, good = desk.jobs()
    assert desk.statuses() == ["failed", "refused", "finished"]
    assert broken["error"].startswith("ArithmeticError: the update broke down at update 50")
    assert "sweeps.accidents.Refusing cannot be built: nothing to build with" in refused["error"]
    assert good["results"]["eval/return_mean"]
    assert broken["error"] in lines[header + 1] and refused["error"] in lines[header + 2]
    log = (desk.sweep / broken["directory"] / "marlrun.log").read_text()
    assert "Traceback" in log and "in update" in log
    assert lines[-2:] == [
        "3 jobs: 1 failed, 1 refused, 1 finished",
        "to go on: marlrun mode=resume run=sweep 'plugins=[sweeps.accidents]'",
    ]


def test_a_job_for_a_device_that_is_not_there_is_refused(desk):
    said = desk.sweeps(*TRIVIAL, "device=cuda,cpu", CUDA_VISIBLE_DEVICES="")
    assert said.code == 1 and desk.statuses() == ["refused", "finished"]
    assert desk.jobs()[0]["error"].startswith("device=cuda")


def test_editing_the_configuration_changes_no_job(desk, own):
    """Not the jobs that have not begun, nor one that is resumed."""
    kinds = ["algo=breaking", "env=matrix_game", "seed=1,2,3", "env_steps=40"]
    (own / "algo" / "breaking.yaml").write_text(BREAKING.replace("number: 1 ", "number: 2 "))
    first = desk.sweep / "0_seed=1"
    with desk.sweeping("--config-dir=own", *kinds, PLUGIN) as process:
        until(first.exists)
        (own / "algo" / "breaking.yaml").write_text("_target_: [")
        said = end(process)
    assert said.code == 0, said.err
    assert [job["config"]["algo"]["number"] for job in desk.jobs()] == [2, 2, 2]
    for job in desk.jobs():
        config = (desk.sweep / job["directory"] / "config.yaml").read_text()
        assert "number: 2" in config


def test_sweeps_that_start_at_once_have_directories_of_their_own(desk):
    both = [desk.start("-m", *TRIVIAL, "seed=1,2") for _ in range(2)]
    assert [end(process).code for process in both] == [0, 0]
    found = [path.parent for path in desk.place.glob("outputs/*/*/sweep.json")]
    assert [desk.statuses(one) for one in found] == [["finished"] * 2] * 2


def test_one_directory_holds_one_sweep(desk):
    """Of two that begin at once, one wins; one that comes later is told how to go on."""
    argv = ["-m", INTO, *TRIVIAL, "seed=1,2"]
    both = [end(process) for process in [desk.start(*argv) for _ in range(2)]]
    assert sorted(said.code for said in both) == [0, 2]
    later = desk.marlrun(*argv)
    for said in (next(said for said in both if said.code == 2), later):
        assert said.out == "" and said.err.count("\n") == 1 and "sweep" in said.err
    assert "holds a sweep already; marlrun mode=resume run=sweep goes on with it" in later.err
    assert desk.statuses() == ["finished"] * 2
    again = desk.resumes()
    assert again.code == 0 and "all jobs are finished, nothing to do" in again.err


def test_a_sweep_that_is_being_done_is_not_resumed(desk):
    long = ["algo=dec_hdrqn", *SMALL, "env_steps=1000000"]
    with desk.sweeping(*long) as process:
        until(lambda: desk.statuses() == ["running"])
        said = desk.resumes()
        assert said.code == 2 and "sweep: another process is doing this sweep" in said.err
        until(lambda: list(desk.sweep.glob("*/metrics.jsonl")))
        os.kill(process.pid, signal.SIGTERM)
        assert end(process).code == 130
    assert desk.statuses() == ["interrupted"]


@pytest.fixture
def small_disk(desk):
    """Lend a disk where `sweep` lies, and a way to give it another size."""
    desk.sweep.mkdir()

    def mount(size, *options):
        words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options])]
        return subprocess.run([*words, "tmpfs", desk.sweep], capture_output=True).returncode

    if mount("300k") != 0:
        pytest.skip("needs the right to mount a disk")
    yield lambda size: mount(size, "remount")
    subprocess.run(["umount", desk.sweep], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], JOBLIB], ids=["basic", "joblib"])
def test_a_full_disk_is_a_failure_with_its_reason_and_loses_nothing(desk, small_disk, launcher):
    few = ["algo=dec_hdrqn", "seed=1,2", *SMALL, "replicas=1"]
    other = Desk(desk.place / "other")
    other.place.mkdir()
    assert other.sweeps(*few).code == 0
    said = desk.sweeps(*few, *launcher)
    assert said.code == 1 and "Traceback" not in said.err
    assert "[Errno 28] No space left on device: 'sweep/" in said.out
    assert "hydra.sweep.dir" not in said.err and "failed" in desk.statuses()
    assert small_disk("50m") == 0
    said = desk.resumes(*launcher)
    assert said.code == 0, said.err
    desk.assert_same_as(other)


def test_what_a_launcher_never_began_waits_and_says_why(desk):
    """There is no Slurm here."""
    said = desk.sweeps(*TRIVIAL, "seed=1,2", "hydra/launcher=submitit_slurm", PATH=desk.place)
    cause = 'hydra/launcher=submitit_slurm: RuntimeError: Could not detect "srun"'
    assert said.code == 1 and "Traceback" not in said.err, said.err
    assert said.err.count(f"marlrun: {cause}") == 1
    _, *table, count, advice = said.out.splitlines()
    assert [line.split()[0] for line in table] == ["waiting"] * 2
    assert all(cause in line for line in table)
    assert count == "2 jobs: 2 waiting"
    assert advice.endswith("/marlrun mode=resume run=sweep")
    assert [job["error"][: len(cause)] for job in desk.jobs()] == [cause] * 2

    said = desk.resumes()
    assert said.code == 0 and "srun" not in said.out + said.err
    assert [job["error"] for job in desk.jobs()] == [None] * 2
