"""What is typed for mode=eval: a changed game, and agents of other runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import test_cli
from test_cli import Marlrun, refused

from marlrun.cli import main

marlrun = test_cli.marlrun
QUICK = ["env_steps=0", "eval.episodes=1", "eval.final_episodes=1"]
CAPTURE = ["algo=random", "env=target_capture", "env.size=3"]
EVAL = ["mode=eval", "run=a", "episodes=3"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Make runs that are not trained: one of capture, and one whose agents communicate."""
    directory = tmp_path_factory.mktemp("runs")
    networked = ["algo=networked_ac_q", "env=public_goods", "graph=erdos_renyi"]
    for name, words in (("a", CAPTURE), ("n", networked)):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)
            patch.setattr(sys, "argv", ["marlrun", *words, *QUICK, f"hydra.run.dir={name}"])
            assert main.main() == 0
    return directory


@pytest.fixture
def runs(marlrun: Marlrun, kept: Path) -> Marlrun:
    """Run the command line beside these runs."""
    shutil.copytree(kept, ".", dirs_exist_ok=True)
    shutil.copytree("a", "1_algo=random,x=2")
    return marlrun


def test_keys_of_the_game_and_agents_are_typed_as_at_training(runs: Marlrun, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    guests = ["agents.agent_1=1_algo=random,x=2", "agents.agent_0=~/a/checkpoints/step_0.pt"]
    said = runs(*EVAL, "env.flicker=0.5", "env={motion: random}", *guests)
    assert said.code == 0 and json.loads(said.out.splitlines()[-1])["eval/length_mean"] > 0
    assert said.err.splitlines()[-1] == (
        "elsewhere: env.flicker=0.5 (trained with 0.0), env.motion=random (trained with [1, 0]), "
        f"agents.agent_1=1_algo=random,x=2, agents.agent_0={Path.cwd()}/a/checkpoints/step_0.pt"
    )
    assert runs(*EVAL).err.count("\n") == 1


def test_a_graph_is_chosen_or_changed(runs: Marlrun):
    Path("links.txt").write_text("0 1\n1 2\n2 3\n3 4\n4 5\n")
    for words, text in (
        (["graph=ring"], "graph=ring (trained with erdos_renyi)"),
        (["graph.weights=lazy_metropolis"], "graph.weights=lazy_metropolis (trained with"),
        (["graph=from_file", "graph.file=links.txt"], "graph.file=links.txt (trained with null)"),
    ):
        said = runs("mode=eval", "run=n", "episodes=1", *words)
        assert said.code == 0 and text in said.err.splitlines()[-1]


REFUSALS = [
    (["env.flickr=0.5"], "env.flickr: no such key; did you mean env.flicker?"),
    (["+env.flickr=0.5"], "env.flickr: no such key; did you mean env.flicker?"),
    (["env={flickr: 0.5}"], "env.flickr: no such key; did you mean env.flicker?"),
    (["env.flicker=2"], "env.flicker=2: expected float [0, 1] (probability that an agent sees no"),
    (["env.num_envs=2"], "env.num_envs: it means nothing in evaluation; episodes=N says how many"),
    (
        ["env=meeting_grid"],
        "env=meeting_grid: expected env.KEY=VALUE, which changes a key of the run's env",
    ),
    (["env.num_agents=3"], "env.num_agents=3 (trained with 2): the game has the agents agent_0,"),
    (["graph=rng"], "graph=rng: expected barabasi_albert | "),
    (["graph=ring"], "graph=ring: algo random takes no graph"),
    (["graph.every=2"], "graph.every: this run has no graph whose keys could change"),
    (["run=n", "graph.evry=2"], "graph.evry: no such key; did you mean graph.every?"),
    (["run=n", "graph=ring", "graph.evry=2"], "graph.evry: no such key; did you mean graph.every?"),
    (["run=n", "graph=from_file"], "graph.file missing: expected graph.file=path ("),
    (["run=n", "graph.file=no.txt"], "graph.file=no.txt: no such file"),
    (["run=./latest"], "run=./latest: no such directory"),
    (["agents.agent_7=a"], "agents.agent_7=a: no such agent, expected agent_0 | agent_1"),
    (["agents.agent_1=no"], "agents.agent_1=no: no such directory"),
    (["agents.agent_1=."], "agents.agent_1=.: expected a run directory, this one has no config"),
    (["agents.agent_1=null"], "agents.agent_1=null: no such directory"),
    (["agents.agent_1="], "agents.agent_1=: expected a run's directory, or RUN/checkpoints/FILE"),
    (["agents.agent_1=a/checkpoints/no.pt"], "agents.agent_1=a/checkpoints/no.pt: checkpoint="),
    (["agents.agent_1=n"], "agents.agent_1=n: the game has the agents agent_0, agent_1, the poli"),
    (["agents=a"], "agents=a: expected dict (agents.NAME=RUN"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSALS, ids=[words[-1] for words, _ in REFUSALS])
def test_what_is_no_good_is_one_line(runs: Marlrun, words: list[str], expected: str):
    before = sorted(Path().rglob("*"))
    line = refused(runs(*EVAL, *words))
    assert line.startswith(expected), line
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("words", [["env.flickr=0.5"], ["run=n", "graph.every=0"]])
def test_a_slip_is_answered_without_torch(runs: Marlrun, words: list[str]):
    code = "import sys; from marlrun.cli.main import main; print(main(), 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, *EVAL, *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "2 False\n"


def test_help_and_cfg_know_them(runs: Marlrun):
    said = runs("--help", "mode=eval")
    assert all(f"  {key}={{}}" in said.out for key in ("env", "graph", "agents"))
    said = runs("--cfg", "job", *EVAL, "env.flicker=0.5", "agents.agent_1=a,b=1")
    assert "flicker: 0.5" in said.out and "agent_1: a,b=1" in said.out
