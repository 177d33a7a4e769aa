"""Runs on foreign games from the command line: training, resuming, refusals, failures."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from runner.compare import rows

from marlrun.cli import main
from marlrun.envs.pettingzoo import workers
from marlrun.envs.pettingzoo.game import PettingZooGame

SMALL = [
    *("device=cpu", "eval.episodes=3", "eval.final_episodes=4", "eval.every=40"),
    *("log.every=20", "checkpoint.every=1000"),
]
LEARNING = [
    *("algo=dec_hdrqn", "algo.sizes=[8,8,8,8]", "algo.batch=2", "algo.episodes=8"),
    *("algo.learning_starts=30", "algo.epsilon_steps=50"),
]
TOY = ["env=pettingzoo", "env.id=foreign.toys:Toy", "env.horizon=6", "plugins=[foreign]"]


@pytest.fixture
def marlrun(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["marlrun", *argv])
        code = main.main()
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


def record(run="run"):
    return json.loads(Path(run, "run.json").read_text())


def test_it_learns_resumes_with_new_episodes_and_is_evaluated(marlrun):
    words = [*LEARNING, *SMALL, "replicas=2", "env.num_envs=2", "hydra.run.dir=run"]
    ends = "env.kwargs.ends=[[4,terminated],[3,truncated]]"
    assert marlrun(*words, *TOY, ends, "env_steps=70").code == 0
    assert any("loss/td" in row for row in rows(Path("run")))
    begun = torch.load("run/checkpoints/step_70.pt", weights_only=True)["env"]["episodes"]
    said = marlrun("mode=resume", "run=run", "env_steps=140", "plugins=[foreign]")
    assert said.code == 0 and said.err.count("cannot resume amid an episode: all begin anew") == 1
    later = torch.load("run/checkpoints/step_140.pt", weights_only=True)["env"]["episodes"]
    # 35 steps of each copy, of 4 an episode, the first of which is begun anew.
    assert begun.tolist() == [9] * 4 and later.tolist() == [9 + 9] * 4
    assert all(
        row[tag] == 4 for row in rows(Path("run")) for tag in row if tag == "eval/length_mean"
    )

    evaluated = [
        marlrun("mode=eval", "run=run", "episodes=20", "plugins=[foreign]", *change)
        for change in ([], ["env.workers=2"], ["env.kwargs.ends=[[3,terminated],[3,terminated]]"])
    ]
    numbers = [json.loads(said.out.splitlines()[-1]) for said in evaluated]
    assert numbers[0] == numbers[1]
    assert numbers[0]["eval/length_mean"] == 4 and numbers[2]["eval/length_mean"] == 3


def test_processes_change_no_number_of_a_run(marlrun):
    ends = "env.kwargs={ends: [[4, terminated], [3, truncated]]}"
    for number in (0, 3):
        words = [*LEARNING, *SMALL, "replicas=2", "env.num_envs=2", "env_steps=80", ends]
        run = f"hydra.run.dir=run_{number}"
        assert marlrun(*words, *TOY, run, f"env.workers={number}").code == 0
    assert rows(Path("run_0")) == rows(Path("run_3"))


def test_mode_check_passes_on_a_game_with_leavers_and_a_clock_of_its_own(marlrun):
    ends = "env.kwargs.ends=[[2,terminated],[4,truncated],[4,terminated]]"
    said = marlrun("mode=check", *TOY, "env.id=foreign.toys:Unequal", ends)
    summary = json.loads(said.out.splitlines()[-1])
    assert said.code == 0 and summary["failed"] == [], said.out


def test_a_sweep_over_keyword_arguments(marlrun):
    said = marlrun(
        *("-m", "algo=random", *TOY, *SMALL, "env_steps=20", "hydra.sweep.dir=sweep"),
        "env.kwargs.ends=[[2,terminated]],[[3,terminated]]",
    )
    assert said.code == 0, said.err
    lengths = [
        json.loads(path.read_text())["results"]["eval/length_mean"]
        for path in sorted(Path("sweep").glob("*/run.json"))
    ]
    assert lengths == [[2.0], [3.0]]


def test_a_file_of_ones_own_names_a_game(marlrun):
    Path("conf/env").mkdir(parents=True)
    Path("conf/env/my_game.yaml").write_text(
        "# My game\ndefaults: [pettingzoo]\nid: foreign.toys:Toy\nhorizon: 6\n"
        "kwargs: {ends: [[4, terminated], [4, terminated]]}\n"
    )
    words = ["algo=random", "env=my_game", "--config-dir", "conf", "plugins=[foreign]", *SMALL]
    said = marlrun(*words, "env_steps=20", "hydra.run.dir=run", "env.horizon=3")
    assert said.code == 0, said.err
    assert record()["results"]["eval/length_mean"] == [3.0]
    said = marlrun(*words, "env.kwarg.ends=3")
    assert said.code == 2 and "env.kwarg.ends: no such key; did you mean env.kwargs" in said.err


PAIR = ["algo=random", "env=pettingzoo", "env.horizon=5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (PAIR, "env.id missing: expected env.id=text (the game: mpe2.NAME_vN, "),
        (
            ["algo=random", "env=pettingzoo", "env.id=mpe2.simple_v3"],
            "env.horizon missing: expected env.horizon=int [1, 10000000] (steps after which",
        ),
        (
            ["algo=networked_ac_q", *PAIR[1:], "env.id=mpe2.simple_v3"],
            "dec_hdrqn, dec_hdrqn_plus, distill, ippo, ma_airl, ma_airl_faithful, ma_gail, mappo, "
            "multi_drqn, multi_hdrqn, random; "
            "or env.agents_leave=false, where all agents end together",
        ),
        ([*PAIR, "env.id=os.system"], "env.id=os.system: expected mpe2.NAME_vN or"),
        ([*PAIR, "env.id=foreign.toys:Toy"], "a package named by plugins=[..] on the command line"),
        ([*PAIR, "env.id=mpe2.simple_v9"], "did you mean mpe2.simple_v3?"),
        ([*PAIR, "env.id=mpe2.simple_v3", "env.kwargs.M=1"], "env.kwargs.M=1: TypeError: "),
        ([*PAIR, "env.id=mpe2.simple_v3", "env.kwargs.file=/x"], "expected no path"),
        (
            [*PAIR, "env.id=mpe2.simple_v3", "env.kwargs.a.b=1"],
            "env.kwargs.a.b=1: expected a finite number, a bool",
        ),
        (
            [*PAIR, "env.id=mpe2.simple_v3", "env.kwargs.a=null"],
            "env.kwargs.a=null: expected a finite number, a bool",
        ),
        (
            [*PAIR, "env.id=mpe2.simple_v3", "env.kwargs.continuous_actions=true"],
            "agent_0 has actions Box(0.0, 1.0, (5,), float32), expected Discrete: no algorithm here",
        ),
        ([*PAIR, "env.id=mpe2.simple_v3", "env.hrizon=1"], "did you mean env.horizon?"),
        ([*PAIR, "env.id=mpe2.simple_v3", "env.plugins=[os]"], "env.plugins: no such key"),
        (
            [*PAIR, "env.id=foreign.toys:Crash", "env.kwargs.at=1", "plugins=[foreign]"],
            "step 1: Run",
        ),
    ],
)
def test_bad_input_is_one_line_and_changes_no_file(marlrun, words, message):
    said = marlrun(*words)
    assert said.code == 2 and said.out == ""
    assert message in said.err and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "os.system"}, "env.id=os.system: expected mpe2.NAME_vN"),
        ({"id": "foreign.toys:Toy"}, "env.id=foreign.toys:Toy: expected mpe2.NAME_vN"),
        ({"kwargs": {"map": "/etc/passwd"}}, "expected no path"),
        ({"kwargs": {"_target_": "os.system"}}, "only algo, env and graph may have a _target_"),
        ({"plugins": ["foreign"], "id": "foreign.toys:Toy"}, "env.plugins: no such key"),
    ],
)
def test_a_strangers_run_names_nothing_else(marlrun, changes, message):
    words = ["algo=random", *TOY, *SMALL, "env_steps=10", "hydra.run.dir=run"]
    assert marlrun(*words, "env.kwargs.ends=[[4,terminated]]").code == 0
    path = Path("run/config.yaml")
    config = yaml.safe_load(path.read_text())
    config["env"] |= changes
    path.write_text(yaml.safe_dump(config))
    for words in (["mode=eval", "episodes=2"], ["mode=resume", "env_steps=20"]):
        said = marlrun(*words, "run=run")
        assert said.code == 2 and message in said.err and said.err.count("\n") == 1


def test_a_game_that_fails_ends_the_run_saved(marlrun):
    words = [*LEARNING, *SMALL, *TOY, "env.id=foreign.toys:Crash", "hydra.run.dir=run"]
    # Evaluations have games of their own, of 4 steps: they do not fail.
    said = marlrun(*words, "env_steps=300", "env.kwargs.at=90", "env.kwargs.ends=[[4,terminated]]")
    assert said.code == 1
    assert (
        "marlrun: env.id=foreign.toys:Crash, seed 0, copy 0, episode 23, step 2: RuntimeError: the "
        "first line the last line (see run/marlrun.log)"
    ) in said.err
    assert record()["status"] == "failed" and record()["env_steps"] == 89
    assert Path("run/checkpoints/step_89.pt").exists()
    assert "the last line" in Path("run/marlrun.log").read_text()
    # What it does next is another episode, in new games.
    assert marlrun("mode=resume", "run=run", "env_steps=150", "plugins=[foreign]").code == 0
    assert record()["env_steps"] == 150


def test_a_process_that_is_killed_ends_the_run_saved(marlrun, monkeypatch):
    step, count = PettingZooGame.step, 0

    def kill_once(self, action):
        nonlocal count
        count += 1
        if count == 60:
            os.kill(self._copies.workers[1].process.pid, signal.SIGKILL)
        return step(self, action)

    monkeypatch.setattr(PettingZooGame, "step", kill_once)
    words = [*LEARNING, *SMALL, *TOY, "env.num_envs=2", "env.workers=2", "hydra.run.dir=run"]
    said = marlrun(*words, "env_steps=600", "eval.every=1000", "env.kwargs.ends=[[9,terminated]]")
    assert said.code == 1 and "seed 0, copy 1, episode " in said.err
    assert "process 2 of 2 was ended by SIGKILL" in said.err
    steps = record()["env_steps"]
    assert 0 < steps < 120 and Path(f"run/checkpoints/step_{steps}.pt").exists()
    assert marlrun("mode=resume", "run=run", "env_steps=200", "plugins=[foreign]").code == 0
    workers._end_idle()


def test_a_game_draws_itself(marlrun):
    words = ["algo=random", *TOY, *SMALL, "env_steps=10", "hydra.run.dir=run"]
    assert marlrun(*words).code == 0
    said = marlrun(
        "mode=eval", "run=run", "episodes=2", "video=true", "plugins=[foreign]", "checkpoint=latest"
    )
    assert said.code == 0 and Path("run/videos/step_10_seed_0.gif").exists()
    assert marlrun(*words[:-1], "env.id=foreign.toys:Undrawn", "hydra.run.dir=other").code == 0
    said = marlrun("mode=eval", "run=other", "episodes=2", "video=true", "plugins=[foreign]")
    assert said.code == 2 and "cannot draw itself, expected rgb_array among" in said.err


def test_stdout_holds_results_alone(marlrun):
    words = ["algo=random", *TOY, *SMALL, "env_steps=10", "hydra.run.dir=run"]
    said = marlrun(*words, "env.id=foreign.toys:Loud")
    assert said.code == 0 and "a foreign game" not in said.out
