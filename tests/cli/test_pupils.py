"""What is typed for `algo.demonstrations`: a file, or what ships, for one job or for many."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import test_cli
import yaml
from test_cli import Marlrun, refused

from marlrun.runner.demonstrations import shipped_files

marlrun = test_cli.marlrun
PUPIL = """\
# Looks at demonstrations
_target_: runner.pupil.Pupil
demonstrations: shipped  # shipped or path: what marlrun brings, or a file
demonstrations_episodes: null  # int [1, inf) or null: how many; null = all
"""
QUICK = ["plugins=[runner]", "env_steps=0", "eval.episodes=1", "eval.final_episodes=1"]
SHIPPED = {path.name: path.read_bytes() for path in shipped_files()}


@pytest.fixture
def pupil(marlrun: Marlrun):
    """Type a command of an algorithm with demonstrations."""
    Path("conf/algo").mkdir(parents=True)
    Path("conf/algo/pupil.yaml").write_text(PUPIL)
    job = ("--config-dir", "conf", "algo=pupil", "env.rules=ma_airl", *QUICK)
    return lambda *words: marlrun(*job, *words)


def kept(directory) -> str:
    """Return the name of the shipped file whose content a run keeps."""
    config = yaml.safe_load(Path(directory, "config.yaml").read_text())
    copy = Path(directory, config["algo"]["demonstrations"])
    (name,) = (name for name, content in SHIPPED.items() if content == copy.read_bytes())
    assert copy.name == f"{sha256(SHIPPED[name]).hexdigest()[:12]}-{name}"
    return name


def test_each_job_of_a_sweep_gets_what_ships_for_its_game(pupil, marlrun):
    said = pupil("-m", "env=spread,push", "hydra.sweep.dir=s")
    assert said.code == 0, said.err
    jobs = json.loads(Path("s/sweep.json").read_text())["jobs"]
    names = [kept(Path("s", job["directory"])) for job in jobs]
    assert names == ["spread_early_end.npz", "push.npz"]
    assert {path.name[13:] for path in Path("s/inputs").iterdir()} == set(names)
    run = Path("s", jobs[0]["directory"])
    assert marlrun("mode=eval", f"run={run}", "episodes=1", "plugins=[runner]").code == 0


def test_a_path_is_typed_as_any_other(pupil, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    Path("mine.npz").write_bytes(SHIPPED["push.npz"])
    for file in ("mine.npz", "./mine.npz", "~/mine.npz"):
        assert pupil("env=push", f"algo.demonstrations={file}", "hydra.run.dir=run").code == 0
        Path("run/config.yaml").unlink()
    # In a directory of its own, too, what ships is what ships.
    chdir = ("hydra.job.chdir=true", "hydra.run.dir=other")
    assert pupil("env=spread", "env.early_end=false", *chdir).code == 0
    assert kept("other") == "spread_fixed_horizon.npz"


def test_a_file_called_as_what_ships(pupil):
    Path("shipped").write_bytes(SHIPPED["push.npz"][:99])
    assert pupil("env=push", "hydra.run.dir=run").code == 0
    line = refused(pupil("env=push", "algo.demonstrations=./shipped"))
    assert line.startswith("algo.demonstrations=./shipped: expected demonstrations: it is damaged")


def test_wrong_words_are_one_line(pupil):
    for words, expected in (
        (["algo.demonstrations=no.npz"], "algo.demonstrations=no.npz: no such file"),
        (["algo.demonstrations=null"], "algo.demonstrations=null: expected shipped or path ("),
        (
            ["algo.demonstrations_episodes=300"],
            "algo.demonstrations_episodes=300: expected at most",
        ),
        (
            ["algo.demonstrations_episodes=0"],
            "algo.demonstrations_episodes=0: expected int [1, inf)",
        ),
        (["env.rules=mpe2"], "algo.demonstrations=shipped: none ship for env=push env.rules=mpe2"),
    ):
        assert refused(pupil("env=push", *words)).startswith(expected)
    assert [path.name for path in Path().iterdir()] == ["conf"]


@pytest.mark.slow
def test_its_promises_are_tried_with_its_demonstrations(pupil, marlrun):
    words = ("algo=pupil", "env=push", "env.rules=ma_airl", "plugins=[runner]", "device=cpu")
    said = marlrun("mode=check", "--config-dir", "conf", *words, "algo.demonstrations_episodes=3")
    told = json.loads(said.out.splitlines()[-1])
    assert told["failed"] == [] and told["passed"] > 10, said.out
