"""What the documents of runs say, whoever wrote them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marlrun.runner.listing import differences, runs
from marlrun.system.writing import exclusive, is_held

STORED = Path(__file__).with_name("stored")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return shutil.copytree(STORED, tmp_path / "stored")


def change(directory: Path, **values) -> None:
    """Change keys of run.json."""
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(record | values))


def test_a_run_tells_what_its_documents_say(stored: Path):
    (run,) = runs(stored / "finished")
    assert (run.path, run.status, run.sweep, run.name) == (
        stored / "finished",
        "finished",
        None,
        None,
    )
    assert (run.algo, run.env, run.seeds) == ("networked_ac_q", "public_goods", [0, 1])
    assert (run.steps, run.started) == (400, "2026-11-25T17:28:29+00:00")
    assert run.settings["env.num_agents"] == 6 and run.has_checkpoint and not run.is_unfinished
    # (1.14999 + 1.16439) / 2, 12.706 standard errors of .0072 around it.
    assert str(run.headline) == "1.157 [1.066, 1.249]"


def test_the_newest_start_is_first_then_the_name(stored: Path):
    change(stored / "finished", started="2026-11-26T00:00:00+00:00")
    change(stored / "interrupted", started="2026-11-26T00:00:00+00:00")
    names = [run.path.name for run in runs(stored)]
    assert names == ["interrupted", "finished", "1_seed=7", "0_seed=0", "2_seed=8"]


def test_jobs_are_listed_with_their_sweep_also_those_not_begun(stored: Path):
    listed = {run.path.name: run for run in runs(stored / "sweep")}
    assert {name: run.status for name, run in listed.items()} == {
        "0_seed=0": "finished",
        "1_seed=7": "interrupted",
        "2_seed=8": "waiting",
    }
    assert {run.sweep for run in listed.values()} == {stored / "sweep"}
    assert listed["2_seed=8"].started == "2026-11-25T17:29:05+00:00"
    # A process that hands out jobs will come to those that wait.
    with exclusive(stored / "sweep/.handing_out"):
        assert not any(run.is_unfinished for run in listed.values())
    assert [run.path.name for run in listed.values() if run.is_unfinished] == [
        "1_seed=7",
        "2_seed=8",
    ]


def test_a_running_run_whose_process_is_gone_was_killed(stored: Path):
    log = stored / "interrupted/metrics.jsonl"
    change(stored / "interrupted", status="running", env_steps=0)
    logged = json.loads(log.read_text().splitlines()[-1])["env_steps"]
    with exclusive(log):
        (run,) = runs(stored / "interrupted")
        assert (run.status, run.steps, run.is_unfinished) == ("running", logged, False)
    (run,) = runs(stored / "interrupted")
    assert (run.status, run.steps, run.is_unfinished) == ("killed", logged, True)
    log.unlink()
    (run,) = runs(stored / "interrupted")
    assert (run.status, run.steps) == ("killed", 0)
    assert not is_held(log) and not log.exists()


def test_a_run_that_died_before_its_record_was_written(stored: Path):
    (stored / "finished/run.json").unlink()
    (run,) = runs(stored / "finished")
    assert (run.status, run.algo, run.started) == ("killed", "networked_ac_q", None)


DAMAGE = {
    "seeds": ("x", "seeds 'x': expected list of int"),
    "name": (3, "name 3: expected str or null"),
    "started": ("yesterday", "started 'yesterday': expected a time, 2026-11-25T17:29:02+00:00"),
    "results": ({"eval/return_mean": ["x"]}, "results of eval/return_mean: expected a list of"),
    "env_steps": ([], "env_steps []: expected int"),
    "argv": ([1], "argv [1]: expected list of str"),
}


@pytest.mark.parametrize(("key", "value", "reason"), [(k, *v) for k, v in DAMAGE.items()])
def test_what_a_stranger_wrote_is_damaged_and_says_why(stored: Path, key, value, reason):
    change(stored / "finished", **{key: value})
    (run,) = runs(stored / "finished")
    assert run.status == "damaged" and not run.has_checkpoint and not run.is_unfinished
    assert run.error and f"run.json: {reason}" in run.error and "\n" not in run.error


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("run.json", "{", "run.json is not JSON"),
        ("run.json", "[" * 100_000, "run.json: nested too deeply"),
        ("run.json", '{"status": "finished", "seeds": [1' + "0" * 5000 + "]}", "is not JSON"),
        ("config.yaml", "!!python/object/apply:os.system [ls]", "is not plain YAML: the tag"),
        ("config.yaml", "3", "config.yaml: expected a mapping"),
    ],
)
def test_documents_that_cannot_be_read_hide_no_other_run(stored: Path, name, text, reason):
    (stored / "finished" / name).write_text(text)
    listed = {run.path.name: run for run in runs(stored)}
    assert len(listed) == 5 and listed["finished"].status == "damaged"
    assert reason in (listed["finished"].error or "")


@pytest.mark.parametrize("text", ["{", "3", '{"jobs": [{"directory": "x", "status": 3}]}'])
def test_a_damaged_sweep_is_listed_beside_its_jobs(stored: Path, text: str):
    (stored / "sweep/sweep.json").write_text(text)
    listed = {run.path.name: run.status for run in runs(stored / "sweep")}
    assert listed == {"sweep": "damaged", "0_seed=0": "finished", "1_seed=7": "interrupted"}


def test_differences_are_what_was_typed_and_is_not_the_same_everywhere(stored: Path):
    change(stored / "finished", argv=["marlrun", "algo=x", "graph=ring", "env.num_agents=6"])
    change(stored / "interrupted", argv=["marlrun", "name=a", "eval.every=3", "env.num_agents=2"])
    one, other = runs(stored / "finished"), runs(stored / "interrupted")
    assert differences([*one, *other]) == [
        {"graph": "ring", "env.num_agents": "6"},
        {"env.num_agents": "2"},
    ]
    assert differences(one) == [{}]
    # Typed by one, the default of the other.
    change(stored / "interrupted", argv=[])
    same = shutil.copytree(stored / "finished", stored / "same")
    change(same, argv=[])
    assert differences([*runs(stored / "finished"), *runs(same)]) == [{}, {}]


def test_what_was_typed_under_an_older_name_is_compared_with_the_same_key_today(stored: Path):
    newer = shutil.copytree(stored / "finished", stored / "newer")
    change(stored / "finished", argv=["marlrun", "algo.step_offset=300"])
    change(newer, argv=["marlrun", "algo.steps.offset=300"])
    assert differences([*runs(stored / "finished"), *runs(newer)]) == [{}, {}]
    config = (newer / "config.yaml").read_text().replace("step_offset: 300", "step_offset: 0")
    (newer / "config.yaml").write_text(config)
    change(newer, argv=["marlrun", "algo.steps.offset=0"])
    assert differences([*runs(stored / "finished"), *runs(newer)]) == [
        {"algo.steps.offset": "300"},
        {"algo.steps.offset": "0"},
    ]


def test_no_such_directory(tmp_path: Path):
    with pytest.raises(ValueError, match=r"dir=.*nowhere: no such directory"):
        runs(tmp_path / "nowhere")


def test_listing_imports_no_torch():
    code = "import sys, marlrun.runner.listing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_job_not_begun_says_what_it_will_count(stored: Path):
    path = stored / "sweep/sweep.json"
    content = json.loads(path.read_text())
    (waiting,) = (job for job in content["jobs"] if job["directory"] == "2_seed=8")
    waiting["config"] |= {"env_steps": None, "updates": 60}
    path.write_text(json.dumps(content))
    (run,) = (run for run in runs(stored / "sweep") if run.path.name == "2_seed=8")
    assert (run.unit, run.steps, run.settings["updates"]) == ("updates", 0, 60)
