"""The files that a sweep's jobs name are kept in its directory, and in that of every job."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from sweeps.desk import INTO, Desk

from marlrun.runner import inputs

RING, PATH = "0,1\n1,2\n2,3\n3,0\n", "0,1\n1,2\n2,3\n"
JOB = [
    "algo=networked_ac_q",
    "env=public_goods",
    "env.num_agents=4",
    "graph=from_file",
    "env_steps=200",
    "eval.every=100",
    "eval.episodes=2",
    "eval.final_episodes=2",
    "log.every=100",
]
FILES = "graph.file=a/g.csv,b/g.csv"


@pytest.fixture
def desk(tmp_path):
    for folder, text in (("a", RING), ("b", PATH)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "g.csv").write_text(text)
    return Desk(tmp_path)


def stored(text: str) -> str:
    return f"inputs/{sha256(text.encode()).hexdigest()[:12]}-g.csv"


def begin_again(desk, number):
    """Make a finished job one that was not begun."""
    path = desk.sweep / "sweep.json"
    content = json.loads(path.read_text())
    content["jobs"][number]["status"] = "waiting"
    path.write_text(json.dumps(content))
    shutil.rmtree(desk.sweep / content["jobs"][number]["directory"])


def test_a_sweep_goes_on_with_the_files_that_it_was_given(desk, tmp_path):
    assert desk.sweeps(*JOB, FILES).code == 0
    ring, path = desk.jobs()
    assert [job["config"]["graph"]["file"] for job in (ring, path)] == [stored(RING), stored(PATH)]
    assert ring["results"] != path["results"]
    for text, job in ((RING, ring), (PATH, path)):
        assert (desk.sweep / stored(text)).read_text() == text
        folder = desk.sweep / job["directory"]
        assert (folder / stored(text)).read_text() == text
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["graph"]["file"] == stored(text)
    shutil.rmtree(desk.place / "a")
    (desk.place / "b/g.csv").write_text(RING)
    begin_again(desk, 1)
    (tmp_path / "elsewhere").mkdir()
    said = Desk(tmp_path / "elsewhere").marlrun("mode=resume", f"run={desk.sweep}")
    assert said.code == 0, said.err
    assert desk.jobs()[1]["results"] == path["results"]
    moved = Path(desk.sweep / path["directory"]).rename(tmp_path / "moved")
    assert desk.marlrun("mode=eval", f"run={moved}", "episodes=2").code == 0


def test_a_job_reads_nothing_but_what_was_kept(desk):
    assert desk.sweeps(*JOB, "graph.file=a/g.csv", "seed=1,2,3").code == 0
    (desk.sweep / stored(RING)).write_text(PATH)
    path = desk.sweep / "sweep.json"
    content = json.loads(path.read_text())
    for job, file in zip(content["jobs"], [stored(RING), "a/g.csv", "../a/g.csv"], strict=True):
        job["status"], job["config"]["graph"]["file"] = "waiting", file
        shutil.rmtree(desk.sweep / job["directory"])
    path.write_text(json.dumps(content))
    assert desk.resumes().code == 1 and desk.statuses() == ["refused"] * 3
    older = "a sweep of an earlier version kept none: type its command again"
    digest = sha256(RING.encode()).hexdigest()[:12]
    assert [job["error"] for job in desk.jobs()] == [
        f"graph.file=sweep/{stored(RING)}: was changed, expected a content of hash {digest}",
        f"graph.file=a/g.csv: expected a file kept in sweep/inputs; {older}",
        f"graph.file=../a/g.csv: expected a file kept in sweep/inputs; {older}",
    ]
    assert not list(desk.sweep.glob("*/inputs"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["graph.file=a/g.csv,c/g.csv"], "graph.file=c/g.csv: no such file"),
        ([FILES, "hydra.sweep.subdir=x"], "hydra.sweep.subdir=x: expected another for every job"),
    ],
)
def test_a_refused_sweep_keeps_nothing(desk, words, expected):
    said = desk.sweeps(*JOB, *words)
    assert (said.code, said.err) == (2, f"marlrun: {expected}\n")
    assert desk.jobs() == [] and not list(desk.sweep.rglob("*.csv"))
    assert not (desk.sweep / "inputs").exists()


def test_a_file_is_read_once_for_all_jobs(desk, monkeypatch):
    monkeypatch.chdir(desk.place)
    files = {}
    config = {"graph": {"file": "a/g.csv"}}
    first = inputs.read_typed(config, files)
    Path("a/g.csv").write_text(PATH)
    assert inputs.read_typed(config, files) == first
    assert inputs.stored(config, first) == {"graph": {"file": stored(RING)}}


def test_a_relative_path_is_true_where_it_was_typed(desk):
    said = desk.marlrun(*JOB, "graph.file=a/g.csv", "hydra.job.chdir=true", "hydra.run.dir=run")
    assert said.code == 0, said.err
    assert (desk.place / "run" / stored(RING)).read_text() == RING
    said = desk.marlrun("-m", INTO, *JOB, "graph.file=b/g.csv", "hydra.job.chdir=true")
    assert said.code == 0, said.err
    assert (desk.sweep / desk.jobs()[0]["directory"] / stored(PATH)).read_text() == PATH
