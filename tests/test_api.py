"""Python's door: what it offers, and that it refuses as the command line does."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import marlrun
from marlrun.cli.main import run_command
from marlrun.config.schema import show

QUICK = [
    "algo=random",
    "env=matrix_game",
    "env_steps=20",
    "eval.episodes=2",
    "eval.final_episodes=2",
]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(call, *args, **keys) -> str:
    """Return the text of a call's ValueError."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call(*args, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The import of marlrun


def python(script: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_importing_marlrun_and_listing_runs_import_neither_torch_nor_hydra():
    script = "import sys, marlrun\n{}\nprint({{'torch', 'hydra', 'omegaconf'}} & {{*sys.modules}})"
    for use in ("", "dir(marlrun)", "marlrun.load, marlrun.train", "marlrun.runs('.')"):
        said = python(script.format(use))
        assert (said.stdout, said.stderr) == ("set()\n", "")


def test_what_marlrun_offers_can_be_looked_up():
    assert {"load", "train", "runs", "__version__"} <= {*dir(marlrun)}
    assert set(marlrun.__all__) == {"__version__", "load", "runs", "train"}
    assert all(getattr(marlrun, name).__doc__ for name in ("load", "train", "runs"))
    with pytest.raises(AttributeError, match="^module 'marlrun' has no attribute 'lod'$"):
        marlrun.lod  # noqa: B018
    assert Path(marlrun.__file__).with_name("py.typed").exists()


# train


def test_trained_runs_are_returned_again_and_again(place, capsys):
    first = marlrun.train(*QUICK)
    said = capsys.readouterr()
    assert "eval/return_mean" in said.out and "run directory: outputs" in said.out
    assert "20/20 env steps" in said.err
    with pytest.raises(ValueError, match=r"^algo=rando: expected "):
        marlrun.train("algo=rando", "env=matrix_game")
    second = marlrun.train(*QUICK, "seed=7")
    assert first.is_relative_to(place / "outputs") and first != second
    typed = json.loads((second / "run.json").read_text())["argv"]
    assert typed == ["marlrun", *QUICK, "seed=7"]
    assert marlrun.load(second).results.keys() == marlrun.load(first).results.keys()


def test_a_sweep_is_a_list(place):
    runs = marlrun.train("-m", *QUICK, "seed=3,5", "hydra.sweep.dir=s")
    assert runs == [place / "s/0_seed=3", place / "s/1_seed=5"]
    assert [marlrun.load(run).config["seed"] for run in runs] == [3, 5]
    assert marlrun.train("mode=resume", "run=s") == runs


def test_a_run_is_trained_for_longer(place):
    run = marlrun.train(*QUICK, "hydra.run.dir=r")
    assert run == place / "r"
    assert marlrun.train("mode=resume", "run=r", "env_steps=40") == run
    assert json.loads((run / "run.json").read_text())["env_steps"] == 40


WRONG = {
    "a typo": ["algo=random", "env=matrix_game", "sed=3"],
    "no algorithm": ["env=matrix_game"],
    "several values": [*QUICK, "seed=1,2"],
    "no run": ["mode=resume", "run=nowhere"],
    "found late": [*QUICK, "graph=ring"],
    "a word": ["train"],
    "a flag": ["--nonsense"],
    "a sweep of a typo": ["-m", *QUICK, "seed=1,x"],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_are_refused_by_the_command_lines_text(case, place):
    text = refusal(marlrun.train, *WRONG[case])
    outcome = run_command(WRONG[case])
    assert (outcome.status, outcome.error) == ("refused", text)
    assert [*place.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["mode=eval", "run=x"], "mode=eval: expected mode=train or mode=resume in marlrun.train"),
        (["++mode=eval", "run=x"], "++mode=eval: expected mode=train or mode=resume in marlrun.t"),
        (["--version"], "--version: expected the words of a command that trains"),
        ([QUICK], f"{QUICK!r}: expected words as on the command line, 'KEY=VALUE'"),
    ],
)
def test_words_that_do_not_train(words, text):
    assert refusal(marlrun.train, *words).startswith(text)


def test_a_failed_run_raises_and_the_next_one_does_not(monkeypatch):
    from marlrun.algos.random import Random

    def fail(self, before, action, after):
        raise OverflowError("the roof\nfell in")

    with monkeypatch.context() as patch:
        patch.setattr(Random, "observe", fail)
        line = "OverflowError: the roof fell in (see r/marlrun.log)"
        with pytest.raises(RuntimeError, match=f"^{re.escape(line)}$"):
            marlrun.train(*QUICK, "hydra.run.dir=r")
        line = "2 of 2 jobs are not finished; 0_seed=1: OverflowError: the roof fell in (see "
        with pytest.raises(RuntimeError, match=f"^{re.escape(line)}"):
            marlrun.train("-m", *QUICK, "seed=1,2", "hydra.sweep.dir=s")
    assert marlrun.train("mode=resume", "run=r") == Path("r").absolute()


def test_an_interrupted_run_raises_and_can_be_resumed(monkeypatch):
    from marlrun.algos.random import Random

    def interrupt(self, before, action, after):
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Random, "observe", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"^interrupted, see r$"):
            marlrun.train(*QUICK, "hydra.run.dir=r")
    assert signal.getsignal(signal.SIGINT) is handler
    assert marlrun.train("mode=resume", "run=r") == Path("r").absolute()


def test_training_in_a_thread_as_in_a_notebook():
    results = []
    thread = threading.Thread(target=lambda: results.append(marlrun.train(*QUICK)))
    thread.start()
    thread.join()
    assert len(results) == 1 and marlrun.load(results[0]).agents == ["agent_0", "agent_1"]


def test_the_callers_streams_and_torch_are_as_they_were():
    torch.set_deterministic_debug_mode("default")
    threads = torch.get_num_threads()
    streams = sys.stdout, sys.stderr
    marlrun.train(*QUICK, f"threads={threads + 1}")
    assert (sys.stdout, sys.stderr) == streams
    assert torch.get_num_threads() == threads and torch.get_deterministic_debug_mode() == 0


# runs


def test_runs_are_listed_and_loaded():
    first = marlrun.train(*QUICK)
    marlrun.train("-m", *QUICK, "seed=1,2")
    runs = marlrun.runs()
    assert len(runs) == 3 and {run.status for run in runs} == {"finished"}
    assert first in [run.path.absolute() for run in runs]
    assert {marlrun.load(run).config["seed"] for run in runs} == {0, 1, 2}
    assert refusal(marlrun.runs, "nowhere") == "dir=nowhere: no such directory"
    for directory in ("", None, 3):
        assert ": expected path (" in refusal(marlrun.runs, directory)


# load


def test_what_cannot_be_loaded(place):
    run = marlrun.train(*QUICK, "hydra.run.dir=r", "replicas=2")
    marlrun.train("-m", *QUICK, "seed=1,2", "hydra.sweep.dir=s")
    (place / "empty").mkdir()
    lines = {
        "nowhere": "run=nowhere: no such directory",
        "empty": "run=empty: expected a run directory, this one has no config.yaml",
        "s": "run=s: a sweep; expected one of its jobs' directories",
    }
    for name, text in lines.items():
        assert refusal(marlrun.load, name) == text
        assert run_command(["mode=eval", f"run={name}"]).error == text
    lines = [
        ({"replica": 2}, "replica=2: expected int [0, 1], as the run has"),
        ({"replica": -1}, "replica=-1: expected int [0, inf)"),
        ({"replica": 1.0}, "replica=1.0: expected int [0, inf)"),
        ({"replica": True}, "replica=true: expected int [0, inf)"),
        (
            {"checkpoint": "bets"},
            "checkpoint=bets: no such checkpoint in r/checkpoints; the newest is ",
        ),
        ({"seed": -1}, "seed=-1: expected int [0, 4294967295] or null"),
        ({"device": "gpu"}, "device=gpu: expected auto | cpu | cuda"),
        ({"plugins": "mine"}, "plugins=mine: expected list of str"),
        ({"plugins": None}, "plugins=null: expected list of str"),
        ({"plugins": ["mine"]}, "plugins=[mine]: no such package"),
    ]
    for keys, text in lines:
        assert refusal(marlrun.load, "r", **keys).startswith(text)
    for directory in (None, 3, ["r"]):
        assert refusal(marlrun.load, directory).startswith(f"run={show(directory)}: expected path")
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert refusal(marlrun.load, run) == (
        f"checkpoint=best: no such checkpoint in {run / 'checkpoints'}"
    )


def test_paths_and_numbers_of_numpy_are_taken(monkeypatch, place):
    run = marlrun.train(*QUICK, "hydra.run.dir=r", "replicas=2")
    (checkpoint,) = (run / "checkpoints").glob("step_20.pt")
    policy = marlrun.load(run, checkpoint, np.int64(1), np.uint32(3))
    policy.reset()
    same = marlrun.load(str(run), str(checkpoint), replica=1, seed=3)
    same.reset()
    observations, _ = policy.env().reset(seed=0)
    assert policy.act(observations) == same.act(observations)
    monkeypatch.setenv("HOME", str(place))
    assert marlrun.load("~/r").directory == run
    assert [listed.path for listed in marlrun.runs("~/r")] == [run]


def test_a_strangers_run_runs_no_code():
    run = marlrun.train(*QUICK)
    path = run / "config.yaml"
    stranger = path.read_text().replace("marlrun.algos.random.Random", "os.system")
    path.write_text(stranger.replace("plugins: []", "plugins: [os]"))
    text = refusal(marlrun.load, run)
    assert "algo._target_=os.system: expected a class in marlrun.algos, or in a package" in text


# docs/python.md


def test_the_page_of_the_documentation_works(place):
    page = Path(__file__).parents[1] / "docs/python.md"
    scripts = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(scripts) >= 3
    environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", "\n".join(scripts)]
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert said.returncode == 0, said.stderr
    assert (place / "comparison.png").stat().st_size > 5000
    assert len(marlrun.runs()) == 3
