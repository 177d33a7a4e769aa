"""What is typed for `algo.teachers`: a list of runs, for one job or for many, and its mistakes."""

import json
import shutil
from pathlib import Path

import pytest
import test_cli
import yaml
from test_cli import Marlrun, refused

marlrun = test_cli.marlrun
GAME = ["env=target_capture", "env.size=2", "env.horizon=6", "device=cpu"]
QUICK = ["eval.episodes=1", "eval.final_episodes=1", "replicas=2"]
STUDENT = [
    *("algo=distill", "algo.sizes=[8,8,8,8]", "algo.batch=2", "algo.collect=2"),
    *("algo.episodes=4", "updates=3"),
]


@pytest.fixture
def teacher(marlrun: Marlrun) -> Path:
    """A run in the directory `t=1,a` that can teach, and has learned nothing."""
    words = ("algo=dec_hdrqn", *GAME, *QUICK, "env_steps=0", "hydra.run.dir='t=1,a'")
    assert marlrun(*words).code == 0
    return Path("t=1,a")


def test_runs_are_typed_in_a_list(teacher, marlrun, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    shutil.copytree(teacher, "plain")
    for number, path in enumerate(("plain", "'t=1,a'", "~/plain", "plain/checkpoints/best.pt")):
        said = marlrun(
            *STUDENT, *GAME, *QUICK, f"algo.teachers=[{path}]", f"hydra.run.dir=s{number}"
        )
        assert said.code == 0, said.err
        assert "by conf/tuned/algo/distill_env.yaml" in said.err
        (kept,) = yaml.safe_load(Path(f"s{number}/config.yaml").read_text())["algo"]["teachers"]
        assert Path(f"s{number}", kept).is_file()
    assert {path.name[12:] for path in Path().glob("s*/inputs/*")} == {
        "-plain",
        "-t=1,a",
        "-best.pt",
    }
    chdir = ("hydra.job.chdir=true", "hydra.run.dir=other", "algo.teachers=[plain]")
    assert marlrun(*STUDENT, *GAME, *QUICK, *chdir).code == 0


def test_jobs_of_a_sweep_keep_their_teachers_together(teacher, marlrun):
    words = ("-m", "algo.teachers=['t=1,a']", "algo.loss=kl,mse", "hydra.sweep.dir=s")
    said = marlrun(*STUDENT, *GAME, *QUICK, *words)
    assert said.code == 0, said.err
    assert said.err.count("teacher t=1,a/checkpoints/best.pt") == 1
    (kept,) = Path("s/inputs").iterdir()
    shutil.rmtree(teacher)
    for job in json.loads(Path("s/sweep.json").read_text())["jobs"]:
        assert job["config"]["algo"]["teachers"] == [f"inputs/{kept.name}"]
        run = Path("s", job["directory"])
        assert marlrun("mode=resume", f"run={run}", "updates=5").code == 0
        assert marlrun("mode=eval", f"run={run}", "episodes=1").code == 0


def test_mistakes_are_one_line_and_change_no_file(teacher, marlrun):
    before = sorted(Path().rglob("*"))
    for words, expected in (
        ([], "algo.teachers=[]: expected one finished run, for the game is one task"),
        (["algo.teachers=[no]"], "algo.teachers[0]=no: no such directory"),
        (["algo.teachers='t=1,a'"], "algo.teachers=t=1,a: expected list of path"),
        (
            ["algo.teachers=['t=1,a']", "algo.temperature=0"],
            "algo.temperature=0: expected float (0,",
        ),
        (["algo.teachers=['t=1,a']", "env_steps=5"], "env_steps=5: algo distill learns offline"),
        (["algo.teachers=[~no-one/x]"], "algo.teachers=~no-one/x: ~no-one has no home directory"),
    ):
        line = refused(marlrun(*STUDENT, *GAME, *QUICK, *words))
        assert line.startswith(expected), line
    assert sorted(Path().rglob("*")) == before


def test_promises_are_tried_with_teachers(teacher, marlrun):
    words = (*STUDENT, *GAME, "replicas=2", "updates=40", "algo.collect_every=9")
    said = marlrun("mode=check", *words, "algo.teachers=['t=1,a']")
    told = json.loads(said.out.splitlines()[-1])
    assert told["failed"] == [] and told["passed"] > 20, said.out
