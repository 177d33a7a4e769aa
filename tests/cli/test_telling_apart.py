"""Runs that can be told apart: their directories, mode=runs and run=latest."""

import json
import re
import shutil
from pathlib import Path

import pytest
from cli.test_cli import PAIR, Marlrun, marlrun, refused, trained

__all__ = ["marlrun", "trained"]
STORED = Path(__file__).parents[1] / "runner/stored"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A finished run, an interrupted run and an interrupted sweep below outputs/."""
    return shutil.copytree(STORED, tmp_path / "outputs")


NAMES = {
    "wide net": "dec_hdrqn_matrix_game_wide-net_",
    "a;$b -- c": "dec_hdrqn_matrix_game_a-b-c_",
    ".-x-.": "dec_hdrqn_matrix_game_x_",
    "\u00e4": "dec_hdrqn_matrix_game_",
    "x" * 300: f"dec_hdrqn_matrix_game_{'x' * 31}_",
}


@pytest.mark.parametrize(("name", "label"), NAMES.items())
def test_a_directory_tells_algorithm_environment_and_name(marlrun, trained, name, label):
    assert marlrun(*PAIR, f"name='{name}'").code == 0
    (config, directory, _), text = trained[0], trained[0][1].name
    assert config["name"] == name
    assert re.fullmatch(rf"\d\d-\d\d-\d\d_{label}[0-9a-f]{{6}}", text), text
    assert len(text[len("00-00-00_") :]) <= 60 and directory.parts[0] == "outputs"


@pytest.mark.parametrize(
    ("name", "label"), {"x": "x_", "x,y": "", "game_${algo.beta}": "", "null": ""}.items()
)
def test_the_directory_of_a_sweep_tells_its_name_alone(marlrun, trained, name, label):
    assert marlrun("-m", *PAIR, "algo.beta=0.1,0.2", f"name={name}").code == 0
    sweeps = {directory.parent.name for _, directory, _ in trained}
    assert len(sweeps) == 1
    assert re.fullmatch(rf"\d\d-\d\d-\d\d_{label}[0-9a-f]{{6}}", sweeps.pop())


def test_a_table_lists_the_newest_first(marlrun: Marlrun, outputs: Path):
    said = marlrun("mode=runs")
    assert said.code == 0 and said.err == ""
    head, *lines = (re.split(r"\s{2,}", line.strip()) for line in said.out.splitlines())
    assert head[:5] == ["status", "algo", "env", "name", "differs in"]
    assert [(line[0], line[-1]) for line in lines] == [
        ("interrupted", "outputs/sweep/1_seed=7"),
        ("finished", "outputs/sweep/0_seed=0"),
        ("waiting", "outputs/sweep/2_seed=8"),
        ("interrupted", "outputs/interrupted"),
        ("finished", "outputs/finished"),
    ]
    assert lines[-1] == [
        *("finished", "networked_ac_q", "public_goods", "graph=ring replicas=2", "400"),
        *("1.157 [1.066, 1.249]", "2026-11-25 17:28", "outputs/finished"),
    ]
    assert "303/1,200" in lines[0]


def test_the_same_as_json(marlrun: Marlrun, outputs: Path):
    said = marlrun("mode=runs", "dir=outputs/sweep", "json=true")
    runs = json.loads(said.out)
    assert said.code == 0 and said.out.count("\n") == 1
    assert [run["differs"] for run in runs] == [{"seed": "7"}, {"seed": "0"}, {"seed": "8"}]
    assert runs[0] | {"results": ..., "differs": ...} == {
        "path": "outputs/sweep/1_seed=7",
        "sweep": "outputs/sweep",
        "status": "interrupted",
        "algo": "networked_ac_v",
        "env": "networked_mdp",
        "name": None,
        "differs": ...,
        "seeds": [7],
        "unit": "env_steps",
        "steps": 303,
        "headline": None,
        "results": ...,
        "started": "2026-11-25T17:29:10+00:00",
        "finished": "2026-11-25T17:29:10+00:00",
        "error": None,
    }
    assert runs[1]["headline"]["num_values"] == 1 and runs[1]["results"]["eval/return_mean"]


def test_what_no_terminal_should_get_is_escaped(marlrun: Marlrun, outputs: Path):
    path = outputs / "finished/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "\x1b[2J"}))
    said = marlrun("mode=runs")
    assert said.code == 0 and "\\x1b[2J" in said.out and "\x1b" not in said.out


def test_no_runs_are_an_empty_list(marlrun: Marlrun):
    Path("empty").mkdir()
    said = marlrun("mode=runs", "dir=empty", "json=true")
    assert (said.code, said.out, said.err) == (0, "[]\n", "marlrun: no runs below empty\n")


@pytest.fixture
def asked(monkeypatch) -> list[Path]:
    """The runs that evaluation and resuming are asked for, in the place of doing it."""
    from marlrun.runner import evaluate, train
    from marlrun.runner.outcome import Outcome
    from marlrun.sweeps import sweeper

    runs: list[Path] = []

    def note(run: Path, *args, **settings) -> Outcome:
        runs.append(run)
        return Outcome("finished", run)

    monkeypatch.setattr(evaluate, "evaluate_run", note)
    monkeypatch.setattr(train, "resume", note)
    monkeypatch.setattr(sweeper, "resume_sweep", lambda *args: runs.append(args[3]))
    return runs


def test_latest_is_the_newest_of_the_kind_that_the_mode_takes(marlrun, outputs, asked):
    shutil.rmtree(outputs / "sweep/1_seed=7/checkpoints")
    said = marlrun("mode=eval", "run=latest")
    assert said.err == "marlrun: run=latest is outputs/sweep/0_seed=0\n" and said.code == 0
    assert "marlrun: run=latest is outputs/sweep\n" in marlrun("mode=resume", "run=latest").err
    shutil.rmtree(outputs / "sweep")
    said = marlrun("mode=resume", "run=latest")
    assert said.err == "marlrun: run=latest is outputs/interrupted\n"
    assert asked == [
        Path("outputs/sweep/0_seed=0"),
        Path("outputs/sweep"),
        Path("outputs/interrupted"),
    ]


def test_a_directory_may_be_called_latest(marlrun: Marlrun, outputs: Path, asked: list[Path]):
    shutil.copytree(STORED / "finished", "latest")
    assert marlrun("mode=eval", "run=./latest").code == 0
    assert asked == [Path("latest")]


def test_damaged_runs_are_never_the_latest(marlrun: Marlrun, outputs: Path, asked: list[Path]):
    for path in outputs.rglob("run.json"):
        path.write_text("{")
    assert "no run with a checkpoint" in refused(marlrun("mode=eval", "run=latest"))
    assert asked == []


def test_help_and_completion_know_the_mode(marlrun: Marlrun, monkeypatch):
    assert "marlrun mode=runs [dir=outputs] [json=true]" in marlrun("--help").out
    assert "json=false" in marlrun("--help", "mode=runs").out
    monkeypatch.setenv("COMP_LINE", "marlrun mode=runs js")
    assert "json=" in marlrun("-sc", "query=bash", "mode=runs", "js").out


COMPLETIONS = {
    "": ["algo=", "env=", "mode=", "+experiment=", "eval.every=", "hydra/launcher="],
    "mode=": ["mode=check", "mode=demonstrate", "mode=eval", "mode=runs", "mode=train"],
    "mode=runs ": ["dir=", "json=", "mode="],
    "mode=runs json=": ["json=false", "json=true"],
    "mode=eval ": ["agents.", "env.", "graph.", "graph=", "run=", "checkpoint="],
    "mode=eval run=l": ["run=latest"],
    "mode=eval run=outputs/f": ["run=outputs/finished/"],
    "mode=eval agents.agent_1=outputs/f": ["agents.agent_1=outputs/finished/"],
    "mode=eval checkpoint=": ["checkpoint=best", "checkpoint=latest", "checkpoint=outputs/"],
    "mode=demonstrate ": ["env.", "out=", "run=", "replica=", "episodes="],
    "mode=demonstrate run=l": ["run=latest"],
    "mode=check algo=r": ["algo=random"],
    "mode=resume upd": ["updates="],
    "mode=graph graph=ring graph.weights=me": ["graph.weights=metropolis"],
    "algo=dec_hdrqn,r": ["algo=dec_hdrqn,random"],
    "algo=dec_hdrqn algo.beta": ["algo.beta=", "algo.beta_final=", "algo.beta_steps="],
    "algo=nope algo.": [],
    "nope=": [],
}


@pytest.mark.parametrize(("line", "offers"), COMPLETIONS.items())
def test_the_tab_key_offers_what_the_mode_takes(marlrun, outputs, monkeypatch, line, offers):
    monkeypatch.setenv("COMP_LINE", f"marlrun {line}")
    words = marlrun("-sc", "query=bash").out.split()
    assert set(offers) <= set(words) and all(line.split(" ")[-1] in word for word in words)
    assert offers or words == []
    refused_keys = {"mode=runs ": "algo=", "mode=eval ": "algo=", "mode=check ": "run="}
    assert refused_keys.get(line) not in words


def test_the_tab_key_without_a_line_offers_all(marlrun: Marlrun, monkeypatch):
    monkeypatch.delenv("COMP_LINE", raising=False)
    said = marlrun("-sc", "query=fish")
    assert said.code == 0 and "algo=\n" in said.out


def test_help_lists_the_groups_that_the_mode_takes(marlrun: Marlrun):
    headings = ("Algorithms", "Environments", "Graphs", "Published results")
    taken = {"train": headings, "check": headings[:3], "exact": headings[1:2], "runs": ()}
    taken |= {"eval": headings[2:3], "graph": headings[2:3], "resume": (), "demonstrate": ()}
    for mode, expected in taken.items():
        lines = marlrun("--help", f"mode={mode}").out.splitlines()
        assert (
            tuple(head for head in headings if any(x.startswith(head) for x in lines)) == expected
        )
