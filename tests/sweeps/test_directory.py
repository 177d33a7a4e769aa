import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from marlrun.runner.outcome import Outcome
from marlrun.sweeps.directory import Sweep, SweepJob, short_name

NAMES = [
    (["algo", "env.size"], {"algo": "dec_hdrqn", "env.size": "3"}, "7_dec_hdrqn,size=3"),
    (["algo.size", "env.size"], {"algo.size": "1", "env.size": "3"}, "7_algo.size=1,env.size=3"),
    (["seed"], {"seed": "2"}, "7_seed=2"),
    (["algo.sizes"], {"algo.sizes": "[16,16]"}, "7_sizes=-16,16-"),
    (["name"], {"name": "../a b"}, "7_name=..-a-b"),
    (["name"], {"name": "x" * 200}, "7_name=" + "x" * 93),
    (["name"], {"name": "\u5b57" * 100}, "7_name=" + "\u5b57" * 31),
    ([], {"env.size": "3"}, "7"),
]


@pytest.mark.parametrize(("swept", "values", "expected"), NAMES)
def test_a_job_is_named_by_what_differs(swept, values, expected: str):
    assert short_name(7, swept, values, ["algo", "env"]) == expected


def sweep_of(directory: Path, number: int) -> Sweep:
    sweep = Sweep(directory)
    sweep.begin(["-m"], ["seed"])
    jobs = [SweepJob(i, [f"seed={i}"], f"{i}_seed={i}", {"seed": i}) for i in range(number)]
    sweep.add(jobs)
    return sweep


def statuses(sweep: Sweep) -> list[str]:
    return [job.status for job in sweep.read().jobs]


def test_the_life_of_a_job(tmp_path):
    sweep = sweep_of(tmp_path / "s", 2)
    job = sweep.start("1_seed=1")
    assert job is not None and job.config == {"seed": 1} and job.pid == os.getpid()
    assert statuses(sweep) == ["waiting", "running"]
    (sweep.directory / "1_seed=1").mkdir()
    sweep.mark_ended("1_seed=1", Outcome("finished", results={"eval/return_mean": [0.1, 1 / 3]}))
    assert sweep.start("1_seed=1") is None
    done = json.loads((tmp_path / "s" / "sweep.json").read_text())["jobs"][1]
    assert done["results"] == {"eval/return_mean": [0.1, 1 / 3]} and done["error"] is None
    assert [job.directory for job in sweep.resume()] == ["0_seed=0"]


def test_what_waits_may_say_why_until_it_begins(tmp_path):
    sweep = sweep_of(tmp_path / "s", 2)
    sweep.start("1_seed=1")
    sweep.mark_skipped(["0_seed=0", "1_seed=1"], "no cluster")
    assert [job.error for job in sweep.read().jobs] == ["no cluster", None]
    sweep.start("0_seed=0")
    assert [job.error for job in sweep.read().jobs] == [None, None]


def test_after_a_stop_no_job_begins_until_the_sweep_is_resumed(tmp_path):
    sweep = sweep_of(tmp_path / "s", 3)
    sweep.start("0_seed=0")
    assert sweep.stop() == []
    assert sweep.start("1_seed=1") is None
    sweep.mark_dead(["0_seed=0", "1_seed=1"], "its process died")
    assert statuses(sweep) == ["interrupted", "waiting", "waiting"]
    assert len(sweep.resume()) == 3 and not sweep.is_stopping
    assert sweep.start("1_seed=1") is not None


def test_a_job_whose_process_died_has_failed_and_one_elsewhere_is_left_alone(tmp_path):
    sweep = sweep_of(tmp_path / "s", 3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with sweep.changing() as record:
        for job, host in zip(record.jobs, [record.host, "another", record.host], strict=True):
            job.status, job.host, job.pid = "running", host, gone.pid
        record.jobs[2].status = "waiting"
    assert sweep.stop() == [gone.pid]
    (tmp_path / "s" / ".stop").unlink()
    sweep.mark_dead([job.directory for job in sweep.read().jobs], "its process died")
    assert statuses(sweep) == ["failed", "running", "waiting"]
    assert sweep.read().jobs[0].error == "its process died"


ADD = """
import sys
from pathlib import Path
from marlrun.runner.outcome import Outcome
from marlrun.sweeps.directory import Sweep
sweep = Sweep(Path(sys.argv[1]))
for number in map(int, sys.argv[2:]):
    sweep.start(f"{number}_seed={number}")
    sweep.mark_ended(f"{number}_seed={number}", Outcome("finished", results={"x": [number]}))
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    sweep = sweep_of(tmp_path / "s", 24)
    shares = [map(str, range(first, 24, 3)) for first in range(3)]
    words = [sys.executable, "-c", ADD, str(sweep.directory)]
    workers = [subprocess.Popen([*words, *share]) for share in shares]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert [job.results for job in sweep.read().jobs] == [{"x": [i]} for i in range(24)]


BELOW = "expected one of its own below the sweep's"
NO_PLACES = [
    "",
    ".",
    "..",
    "a/../../b",
    "a//b",
    "/a",
    "a\0b",
    "\ud800",
    "${oc.env:NOPE,'/any/where'}",
    "a/\\\\${b}",
    "sweep.json",
    ".lock",
    ".submitit/a",
]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"directory": 5}, "job 0: directory 5, expected str"),
        ({"overrides": 7}, "job 0: overrides 7, expected list of str"),
        ({"overrides": [3]}, "job 0: overrides [3], expected list of str"),
        ({"config": 3}, "job 0: config 3, expected dict"),
        ({"results": {"x": ["1"]}}, "job 0: results 'x' ['1'], expected a number for every seed"),
        ({"results": {"x": 1.0}}, "job 0: results 'x' 1.0, expected a number for every seed"),
        ({"results": [1.0]}, "job 0: results [1.0], expected dict"),
        ({"status": "done"}, "job 0: status 'done', expected waiting | running | finished"),
        ({"number": "x"}, "job 0: number 'x', expected int"),
        ({"pid": 1.5}, "job 0: pid 1.5, expected int [1, 2147483647] or null"),
        ({"pid": -1}, "job 0: pid -1, expected int [1, 2147483647] or null"),
        ({"pid": 1 << 31}, "job 0: pid 2147483648, expected int [1, 2147483647] or null"),
        ({"host": "x" * 5, "error": ["y" * 900]}, "job 0: error ['yyy"),
        ({"directory": "1_seed=1"}, "directory '1_seed=1': expected another for every job"),
        ({"directory": "1_seed=1/tb"}, "directory '1_seed=1/tb': expected another for every job"),
        *(({"directory": name}, f"job 0: directory {name!r}, {BELOW}") for name in NO_PLACES),
    ],
)
def test_a_record_says_what_is_wrong_with_it(tmp_path, damage: dict, expected: str):
    sweep = sweep_of(tmp_path / "s", 2)
    path = tmp_path / "s" / "sweep.json"
    content = json.loads(path.read_text())
    content["jobs"][0] |= damage
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {expected}")) as refusal:
        sweep.read()
    line = str(refusal.value)
    assert len(line) < 500 and "\n" not in line and line.endswith(way_out(tmp_path / "s"))


def way_out(directory: Path) -> str:
    return f"; mode=resume run={directory}/JOB goes on with one of its jobs"


TEXTS = {
    "": " is not JSON: Expecting value: line 1 column 1 (char 0)",
    '{"argv": ["-m"], "swe': " is not JSON: Unterminated string starting at: line 1 column 18",
    "[" * 100_000: ": nested too deeply, expected at most 64 levels",
    '{"jobs": [{}]}': ": no sweep of this version (SweepJob.__init__() missing",
    '{"jobs": [3]}': ": no sweep of this version (",
    '{"jobs": 3}': ": no sweep of this version (",
    "[]": ": no sweep of this version (",
    "3": ": no sweep of this version (",
}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_what_is_no_record_is_refused_with_a_way_out(tmp_path, text: str):
    path = tmp_path / "sweep.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{TEXTS[text]}")) as refusal:
        Sweep(tmp_path).resume()
    assert str(refusal.value).endswith(way_out(tmp_path)) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == [path]


def contents(directory: Path) -> dict[str, bytes | None]:
    """Return the regular files below a directory, and None for all else."""
    paths = sorted(directory.rglob("*"))
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in paths
    }


@pytest.mark.parametrize("name", ["../out", ".handing_out", "a/${b}"])
def test_no_job_leaves_the_sweep_by_its_name(tmp_path, name: str):
    sweep = sweep_of(tmp_path / "s", 1)
    line = f"hydra.sweep.subdir={name}: expected a directory of its own in {tmp_path / 's'}"
    with pytest.raises(ValueError, match="^" + re.escape(line) + "$"):
        sweep.add([SweepJob(1, [], name, {})])
    assert statuses(sweep) == ["waiting"]


LINKS = [
    "sweep.json",
    ".lock",
    ".stop",
    ".handing_out",
    ".submitit",
    "0_seed=0",
    "0_seed=0/metrics.jsonl",
    "0_seed=0/checkpoints/.step_1.pt.tmp",
]


@pytest.mark.parametrize("to", ["outside", "s/1_seed=1/file", "nowhere", "a pipe"])
@pytest.mark.parametrize("name", LINKS)
def test_what_is_resumed_writes_through_no_link_and_waits_for_no_pipe(tmp_path, name, to):
    sweep = sweep_of(tmp_path / "s", 2)
    sweep.end()
    path = tmp_path / "s" / name
    for place in ("outside", "s/1_seed=1/file"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes((tmp_path / "s" / "sweep.json").read_bytes())
    path.parent.mkdir(exist_ok=True, parents=True)
    path.unlink(missing_ok=True)
    if to == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / to)
    before = contents(tmp_path)
    with pytest.raises((ValueError, OSError), match=re.escape(str(path))) as refusal:
        Sweep(tmp_path / "s").resume()
    assert isinstance(refusal.value, ValueError) or (name, to) == ("sweep.json", "nowhere")
    assert contents(tmp_path) == before


def test_a_new_sweep_writes_through_no_link(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "multirun.yaml").symlink_to(tmp_path / "victim")
    with pytest.raises(ValueError, match="multirun.yaml is a link: nothing is written"):
        sweep_of(tmp_path / "s", 1)
    (tmp_path / "s" / "multirun.yaml").unlink()
    (tmp_path / "victim").mkdir()
    (tmp_path / "s" / "0_seed=0").symlink_to(tmp_path / "victim")
    with pytest.raises(ValueError, match="0_seed=0 is a link: nothing is written through links"):
        sweep_of(tmp_path / "s", 1)
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_finished_job_may_be_kept_elsewhere(tmp_path):
    sweep = sweep_of(tmp_path / "s", 2)
    (tmp_path / "archive").mkdir()
    (tmp_path / "s" / "0_seed=0").symlink_to(tmp_path / "archive")
    sweep.mark_ended("0_seed=0", Outcome("finished"))
    sweep.end()
    assert [job.directory for job in Sweep(tmp_path / "s").resume()] == ["1_seed=1"]
    assert list((tmp_path / "archive").iterdir()) == []


def test_nothing_is_left_of_a_sweep_without_jobs(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    for place in ("new/s", "mine"):
        sweep = sweep_of(tmp_path / place, 0)
        assert (tmp_path / place / "sweep.json").exists()
        sweep.end()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "mine",
        "mine/notes",
    ]


def test_why_a_job_failed_that_could_not_write_it_down(tmp_path):
    sweep = sweep_of(tmp_path / "s", 3)
    sweep.start("0_seed=0")
    sweep.mark_ended("2_seed=2", Outcome("finished"))
    for number in range(3):
        sweep.mark_failed(f"{number}_seed={number}", "no space")
    assert statuses(sweep) == ["failed", "waiting", "finished"]
    assert [job.error for job in sweep.read().jobs] == ["no space", "no space", None]
    sweep.start("1_seed=1")
    sweep.stop()
    sweep.mark_failed("1_seed=1", "no space")
    assert statuses(sweep) == ["failed", "interrupted", "finished"]


def test_what_is_written_goes_through_no_link(tmp_path):
    sweep, victim = sweep_of(tmp_path / "s", 1), tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "s" / ".sweep.json.tmp").symlink_to(victim)
    assert sweep.start("0_seed=0") is not None
    assert victim.read_text() == "precious" and statuses(sweep) == ["running"]
