import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest

from marlrun.cli import main
from marlrun.runner.outcome import Outcome

CONF = Path(str(resources.files("marlrun.conf")))
ALGOS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
ENVS = sorted(path.stem for path in (CONF / "env").glob("*.yaml"))
PAIR = ["algo=dec_hdrqn", "env=matrix_game"]
CAPTURE = ["algo=random", "env=target_capture"]

Said = SimpleNamespace
Marlrun = Callable[..., Said]


@pytest.fixture
def marlrun(tmp_path, monkeypatch, capsys) -> Marlrun:
    """Run the command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    # What Hydra does to the root logger must not outlive the test.
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)

    def run(*argv: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["marlrun", *argv])
        code = main.main()
        return Said(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def trained(monkeypatch) -> list[tuple[dict, Path, list[str]]]:
    """Put a fake in the place of training; the list fills with what it was asked to do."""
    from marlrun.runner import train as training

    asked = []

    def train(config, directory, argv, sweep=None) -> Outcome:
        asked.append((config, directory, argv))
        if config["name"] == "refuse":
            raise ValueError("device=cuda: there is none")
        if config["name"] == "crash":
            raise RuntimeError("first line\nsecond line")
        if config["name"] == "stop":
            return Outcome("interrupted", directory)
        if config["name"] == "fail":
            return Outcome("failed", directory, error="loss is NaN")
        return Outcome("finished", directory, {"eval/return_mean": [1.0, 2.0]})

    monkeypatch.setattr(training, "train", train)
    return asked


def refused(said: Said) -> str:
    """Return the one line of a refusal."""
    assert said.code == 2 and said.out == ""
    assert said.err.startswith("marlrun: ") and said.err.count("\n") == 1
    return said.err.removeprefix("marlrun: ").rstrip("\n")


WRONG = [
    ([*PAIR, "algo.bta=0.3"], "algo.bta: no such key; did you mean algo.beta?"),
    ([*PAIR, "+algo.bta=0.3"], "algo.bta: no such key; did you mean algo.beta?"),
    ([*PAIR, "++algo.bta=0.3"], "algo.bta: no such key; did you mean algo.beta?"),
    ([*PAIR, "+algo.beta=0.3"], "+algo.beta: exists already; leave out the +"),
    ([*PAIR, "~algo.beta"], "~algo.beta: a key cannot be deleted"),
    ([*PAIR, "beta=0.3"], "beta: no such key; did you mean algo.beta?"),
    ([*PAIR, "algo={bta: 0.3}"], "algo.bta: no such key; did you mean algo.beta?"),
    ([*PAIR, "algo.beta=2"], "algo.beta=2: expected float [0, 1] ("),
    ([*PAIR, "algo.beta=high"], "algo.beta=high: expected float [0, 1] ("),
    ([*PAIR, "algo.beta=nan"], "algo.beta=nan: expected float [0, 1] ("),
    ([*PAIR, "algo.lr=0"], "algo.lr=0: expected float (0, inf) ("),
    (
        [*PAIR, "algo.lr=1e300"],
        "algo.lr=1e+300: expected float (0, inf) (Adam's step size), 0 or of",
    ),
    ([*PAIR, "algo.lr=1e-400"], "algo.lr=0.0: expected float (0, inf) (Adam's step size)"),
    ([*PAIR, "algo.forget_bias=.inf"], "algo.forget_bias=.inf: expected float (-inf, inf) ("),
    ([*PAIR, "algo.forget_bias=nan"], "algo.forget_bias=nan: expected float (-inf, inf) ("),
    ([*PAIR, f"env_steps={10**23}"], f"env_steps={10**23}: expected int [0, inf) or null ("),
    ([*PAIR, f"env_steps={10**23}"], "), whole numbers of at most 9223372036854775807"),
    ([*PAIR, f"env.horizon={10**23}"], f"env.horizon={10**23}: expected int [1, 10000000] ("),
    ([*PAIR, "replicas=100000"], "replicas=100000: expected int [1, 10000] ("),
    ([*PAIR, "eval.final_episodes=10000001"], "=10000001: expected int [1, 10000000] ("),
    ([*PAIR, "algo.burn_in=2"], "algo.burn_in=2: expected at most 1, the game's horizon"),
    ([*PAIR, "algo.trace=5000"], "algo.trace=5000: expected at most 1, the game's horizon"),
    ([*PAIR, f"env.num_envs={10**12}"], "env.num_envs=1000000000000 replicas=1: this takes about "),
    (
        [*PAIR, "env.payoff=[[1e308,1],[1,1]]"],
        "env.payoff: got [[1e+308, 1], [1, 1]], expected a full matrix",
    ),
    ([*PAIR, "seed=true"], "seed=true: expected int ["),
    ([*PAIR, "replicas=0"], "replicas=0: expected int [1, "),
    ([*PAIR, "env_steps=1e5"], "env_steps=100000.0: expected int [0, inf) or null ("),
    ([*PAIR, "env.game=clim"], "env.game=clim: expected climb | penalty"),
    ([*PAIR, "env.game=clim"], "; did you mean climb?"),
    ([*PAIR, "eval=5"], "eval=5: expected one of its keys, every, episodes, final_episodes"),
    ([*PAIR, "algo.sizes=[1,2]"], "algo.sizes=[1, 2]: expected list of 4 int [1, inf) ("),
    ([*CAPTURE, "env.motion=[1,0.5]"], "env.motion=[1, 0.5]: expected static | random or [int,"),
    ([*PAIR, "name=../../x"], "name=../../x: expected a name without /, other than . and .."),
    ([*PAIR, "name=.."], "name=..: expected a name without /, other than . and .."),
    (["-m", *PAIR, "name=a,b/c"], "name=b/c: expected a name without /, other than . and .."),
    (["mode=runs"], "dir=outputs: no such directory"),
    (["mode=runs", "dir=nowhere"], "dir=nowhere: no such directory"),
    (["mode=runs", "json=1"], "json=1: expected bool (write one JSON array"),
    (["mode=runs", "directory=x"], "directory: no such key in runs.yaml"),
    (["mode=eval", "run=latest"], "run=latest: no run with a checkpoint below outputs/"),
    (["mode=resume", "run=latest"], "run=latest: no unfinished run or sweep below outputs/"),
    (["mode=eval", "run=./latest"], "run=./latest: no such directory"),
    ([*PAIR, "name=${nope}"], "name: Interpolation key 'nope' not found"),
    ([*PAIR, "seed=${name}"], "seed=null: expected int"),
    ([*PAIR, "name=a,b"], "name=a,b: several values need -m"),
    ([*PAIR, "name=a(b"], "name=a(b: expected KEY=VALUE"),
    (["algo=dec_hdqrn", "env=matrix_game"], "algo=dec_hdqrn: expected "),
    (["algo=dec_hdqrn", "env=matrix_game"], "; did you mean dec_hdrqn?"),
    (["alg=dec_hdrqn", "env=matrix_game"], "alg: no such key; did you mean algo?"),
    (["algo=[random]", "env=matrix_game"], "algo=['random']: expected "),
    (["algo=null", "env=matrix_game"], "algo=null: expected "),
    (["env=matrix_game", "algo.beta=1"], "algo missing: expected algo="),
    ([], "algo and env missing: expected algo="),
    (["train"], "train: expected KEY=VALUE"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    (["--config-dir", "nowhere"], "--config-dir=nowhere: no such directory"),
    (["--cfg", "job", "-m"], "--cfg and -m: expected only one of them"),
    (["--cfg", "job", *PAIR, "algo.bta=1"], "algo.bta: no such key"),
    ([*PAIR, "hydra.run.dri=x"], "Could not override 'hydra.run.dri'."),
    ([*PAIR, "hydra/launcher=nope"], "hydra/launcher=nope: expected basic"),
    (
        ["mode=evl"],
        "mode=evl: expected train | eval | resume | exact | demonstrate | graph | runs | check; did you mean",
    ),
    (["mode=eval", "algo=random", "run=x"], "algo=random: no algo in eval.yaml"),
    (["mode=eval", "+algo=random", "run=x"], "+algo=random: no algo in eval.yaml"),
    (["mode=eval", "algo.beta=1", "run=x"], "algo.beta: no such key in eval.yaml"),
    (["mode=eval", "hydra.run.dir=x", "run=x"], "hydra.run.dir: only mode=train has"),
    (["mode=eval"], "run missing: expected run=latest or path (the run directory; latest is"),
    (["mode=eval", "run=nowhere"], "run=nowhere: no such directory"),
    (["mode=resume", "run=."], "run=.: expected a run directory"),
    (["mode=resume", "run=.", "env_steps=-1"], "env_steps=-1: expected int [0, inf) or null ("),
    (["mode=exact"], "env missing: expected env="),
    (["mode=eval", "run=a,b=c'd"], "run=a,b=c'd: no such directory"),
    ([*PAIR, "+hydra.sweeper.params.seed='1,2'"], "hydra.sweeper.params: belongs into a file"),
    (["+experiment=paper1_beta"], "-m missing: a chosen file sweeps algo, env, algo.beta"),
    (["-m", "mode=exact", "env=matrix_game"], "-m: only mode=train has run directories"),
    (["-m", *PAIR, "algo.beta=0.1,2"], "algo.beta=2: expected float [0, 1]"),
    (["-m", *PAIR, "algo.beta=range(0,2,0.5)"], "algo.beta=1.5: expected float [0, 1]"),
    (["-m", *PAIR, "algo.beta=interval(0,2)"], "algo.beta=2.0: expected float [0, 1]"),
    (["-m", "algo=glob(x*)", "env=matrix_game"], "algo=glob(x*): matches nothing"),
    (
        ["-m", "algo=dec_drqn,random", "env=matrix_game", "algo.beta=0.3,0.4"],
        "algo.beta: no such key with algo=random env=matrix_game",
    ),
]


@pytest.mark.parametrize(("argv", "expected"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_wrong_input_is_refused_in_one_line_before_anything_is_done(
    marlrun: Marlrun, argv: list[str], expected: str
):
    assert expected in refused(marlrun(*argv))
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("algo", ALGOS)
def test_every_pair_composes_with_its_tuned_values(marlrun: Marlrun, algo: str, env: str):
    said = marlrun("--cfg", "job", f"algo={algo}", f"env={env}")
    assert said.code == 0 and "algo:\n  _target_: marlrun.algos." in said.out


def test_train_gets_the_resolved_config_a_new_directory_and_what_was_typed(marlrun, trained):
    typed = ["algo=dec_drqn", "env=matrix_game", "replicas=3", "name=${env.game}", "algo.lr=1e-3"]
    assert marlrun(*typed).code == 0
    assert marlrun(*typed).code == 0
    (config, directory, argv), (_, other, _) = trained
    assert argv == ["marlrun", *typed]
    assert (config["replicas"], config["name"], config["algo"]["lr"]) == (3, "climb", 0.001)
    assert (config["algo"]["beta"], config["algo"]["gamma"]) == (1.0, 0.95)
    assert "hydra" not in config
    chosen = {"algo": "dec_drqn", "env": "matrix_game"}
    assert config["choices"] == chosen | {"tuned": "dec_drqn_matrix_game"}
    assert directory.parts[0] == "outputs" and len(directory.parts) == 3
    assert other != directory
    assert [path.name for path in Path("outputs").rglob("*") if path.is_file()] == []


def test_the_run_directory_can_be_named(marlrun, trained):
    assert marlrun(*PAIR, "hydra.run.dir=some/where").code == 0
    assert trained[0][1] == Path("some/where")


def test_where_the_job_changes_directory_its_own_is_absolute(marlrun, trained):
    here = Path.cwd()
    assert marlrun(*PAIR, "hydra.run.dir=some/where", "hydra.job.chdir=true").code == 0
    assert trained[0][1] == here / "some/where"


PLACES = {
    "file": "file is no directory",
    "file/below": "file is no directory",
    "dangling/below": "dangling is a link to nowhere, where there is no directory",
    f"new/{'a' * 300}": f"File name too long: new/{'a' * 300}",
}


@pytest.mark.parametrize(("place", "reason"), PLACES.items())
@pytest.mark.parametrize(("flags", "key"), [([], "hydra.run.dir"), (["-m"], "hydra.sweep.dir")])
def test_a_run_directory_that_cannot_be_is_refused(marlrun, trained, flags, key, place, reason):
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    told = refused(marlrun(*flags, *PAIR, f"hydra.run.dir={place}"))
    assert told == f"{key}={place}: expected a directory that can be made: {reason}"
    assert trained == []
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["dangling", "file"]


@pytest.mark.parametrize(("name", "code"), [("stop", 130), ("fail", 1), ("crash", 1)])
def test_exit_codes(marlrun, trained, name: str, code: int):
    said = marlrun(*PAIR, f"name={name}")
    assert said.code == code
    assert said.err.count("\n") == (0 if name == "stop" else 1)


def test_a_late_refusal_leaves_no_directory(marlrun, trained):
    assert refused(marlrun(*PAIR, "name=refuse")) == "device=cuda: there is none"
    assert list(Path.cwd().iterdir()) == []
    Path("mine").mkdir()
    assert marlrun(*PAIR, "name=refuse", "hydra.run.dir=mine").code == 2
    assert Path("mine").is_dir()


def test_a_sweep_goes_on_after_failures_and_tells_them_first(marlrun, trained):
    said = marlrun("-m", *PAIR, "name=ok,crash,refuse,fail", "seed=5")
    assert said.code == 1 and "Traceback" not in said.err
    assert [config["name"] for config, _, _ in trained] == ["ok", "crash", "refuse", "fail"]
    assert trained[1][2] == ["marlrun", *PAIR, "name=crash", "seed=5"]
    head, *table, count, advice = said.out.splitlines()
    assert head.split() == ["status", "directory", "overrides", "eval/return_mean"]
    told = [(line.split()[0], Path(line.split()[1]).name) for line in table]
    assert told == [
        ("failed", "1_name=crash"),
        ("refused", "2_name=refuse"),
        ("failed", "3_name=fail"),
        ("finished", "0_name=ok"),
    ]
    assert count == "4 jobs: 2 failed, 1 refused, 1 finished"
    assert advice == f"to go on: marlrun mode=resume run={trained[0][1].parent}"
    assert "RuntimeError: first line second line (traceback in " in said.out
    assert "1.500 [-4.853, 7.853]" in table[-1]
    assert "second line" in (trained[1][1] / "marlrun.log").read_text()
    assert len({directory.parent for _, directory, _ in trained}) == 1


def test_a_sweep_of_success_exits_0(marlrun, trained):
    assert marlrun("-m", "algo=glob(dec_*qn)", "env=matrix_game", "algo.beta=0.2,0.3").code == 0
    betas = [(config["algo"]["beta"], directory.name) for config, directory, _ in trained]
    assert betas == [
        (0.2, "0_dec_drqn,beta=0.2"),
        (0.3, "1_dec_drqn,beta=0.3"),
        (0.2, "2_dec_hdrqn,beta=0.2"),
        (0.3, "3_dec_hdrqn,beta=0.3"),
    ]


def test_an_interrupted_job_ends_its_sweep(marlrun, trained):
    said = marlrun("-m", *PAIR, "name=ok,stop,ok2", "hydra.sweep.dir=s")
    assert said.code == 130
    assert [config["name"] for config, _, _ in trained] == ["ok", "stop"]
    assert statuses("s") == ["finished", "interrupted", "waiting"]


def test_a_sweep_is_resumed_where_it_was_left(marlrun, trained, monkeypatch):
    said = marlrun("-m", *PAIR, "name=ok,stop,ok2", "hydra.sweep.dir=s")
    assert said.code == 130, said.err
    trained.clear()
    assert marlrun("mode=resume", "run=s").code == 130
    assert [config["name"] for config, _, _ in trained] == ["stop"]
    stopped = json.loads(Path("s/sweep.json").read_text())
    stopped["jobs"][1]["config"]["name"] = "ok1"
    Path("s/sweep.json").write_text(json.dumps(stopped))
    assert marlrun("mode=resume", "run=s").code == 0
    assert [config["name"] for config, _, _ in trained] == ["stop", "ok1", "ok2"]
    assert [directory.name for _, directory, _ in trained[1:]] == ["1_name=stop", "2_name=ok2"]
    said = marlrun("mode=resume", "run=s")
    assert said.code == 0 and said.err == "marlrun: s: all jobs are finished, nothing to do\n"
    assert len(trained) == 3


def test_a_sweeps_directory_is_its_own(marlrun, trained):
    marlrun("-m", *PAIR, "name=ok", "hydra.sweep.dir=s")
    line = refused(marlrun("-m", *PAIR, "name=ok", "hydra.sweep.dir=s"))
    assert (
        line
        == "hydra.sweep.dir=s: holds a sweep already; marlrun mode=resume run=s goes on with it"
    )
    line = refused(marlrun("-m", *PAIR, "seed=1,2", "hydra.sweep.dir=t", "hydra.sweep.subdir=x"))
    assert line == "hydra.sweep.subdir=x: expected another for every job"
    assert refused(marlrun("mode=eval", "run=s")).startswith("run=s: a sweep; expected one of its")
    line = refused(marlrun("mode=resume", "run=s", "env_steps=9"))
    assert line.startswith("env_steps: the jobs of a sweep have their own")
    assert len(trained) == 1


BELOW = "expected one of its own below the sweep's"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"directory": "../x"}, f"job 0: directory '../x', {BELOW}"),
        ({"directory": "/x"}, f"job 0: directory '/x', {BELOW}"),
        ({"status": "done"}, "job 0: status 'done', expected "),
        ({"nope": 1}, "no sweep of this version ("),
        ({"target": "os.system"}, "algo._target_=os.system: expected "),
    ],
)
def test_a_strangers_sweep_is_read_with_care(marlrun, damage: dict, expected: str):
    quick = ["env_steps=0", "eval.episodes=1", "eval.final_episodes=1"]
    marlrun("-m", *CAPTURE, *quick, "hydra.sweep.dir=s")
    sweep = json.loads(Path("s/sweep.json").read_text())
    job = sweep["jobs"][0]
    job["config"]["algo"]["_target_"] = damage.pop("target", job["config"]["algo"]["_target_"])
    job |= {"status": "waiting", "directory": "new"} | damage
    Path("s/sweep.json").write_text(json.dumps(sweep))
    said = marlrun("mode=resume", "run=s")
    assert said.code in (1, 2) and expected in said.out + said.err
    assert "Traceback" not in said.err


def statuses(sweep: str) -> list[str]:
    """Return how the jobs of a sweep stand."""
    return [job["status"] for job in json.loads(Path(sweep, "sweep.json").read_text())["jobs"]]


def test_an_experiment_can_be_looked_at(marlrun):
    said = marlrun("--cfg", "job", "+experiment=paper1_beta", "algo.beta=0.5")
    assert said.code == 0 and "beta: 0.5" in said.out and "flicker: 0.25" in said.out
    assert "beta: 0.1\n" in marlrun("--cfg", "job", "+experiment=paper1_beta").out
    assert "env.flicker=" in marlrun("--help", "+experiment=paper1_beta").out


def test_a_run_is_not_put_into_a_sweep(marlrun, trained):
    marlrun("-m", *PAIR, "hydra.sweep.dir=s")
    assert refused(marlrun(*PAIR, "hydra.run.dir=s")).startswith("hydra.run.dir=s: holds a sweep")


def test_a_sweep_is_not_put_into_a_run(marlrun, trained):
    write("run/config.yaml", "")
    line = refused(marlrun("-m", *PAIR, "seed=0,1", "hydra.sweep.dir=run"))
    assert line == "hydra.sweep.dir=run: holds a run; expected another directory"
    assert trained == [] and [path.name for path in Path("run").iterdir()] == ["config.yaml"]


def test_modes_hand_over_what_was_typed(marlrun, monkeypatch):
    from marlrun.runner import evaluate, train

    asked = []

    def fake(*args, **kwargs):
        asked.append((args, kwargs))
        return Outcome("finished")

    monkeypatch.setattr(evaluate, "evaluate_run", fake)
    monkeypatch.setattr(train, "resume", fake)
    Path("run").mkdir()
    Path("run/config.yaml").touch()
    assert marlrun("mode=eval", "run=run", "episodes=7", "video=true").code == 0
    assert marlrun("mode=resume", "run=run", "env_steps=9", "plugins=[email]").code == 0
    evaluated, resumed = asked
    assert evaluated[0] == (Path("run"),)
    assert evaluated[1] == {
        "episodes": 7,
        "checkpoint": "best",
        "video": True,
        "seed": None,
        "device": "auto",
        "threads": 1,
        "plugins": [],
        "changes": {"env": {}, "graph": {}},
        "guests": {},
        "rotate": 0,
    }
    assert resumed == ((Path("run"), 9, ["email"], None), {})
    assert [path.name for path in Path.cwd().iterdir()] == ["run"]


@pytest.mark.parametrize("mode", ["eval", "resume"])
def test_a_crash_over_a_stored_run_is_one_line(marlrun, monkeypatch, mode: str):
    from marlrun.runner import evaluate, train

    def crash(*args, **kwargs):
        raise TypeError("first line\nsecond line")

    monkeypatch.setattr(evaluate, "evaluate_run", crash)
    monkeypatch.setattr(train, "resume", crash)
    Path("config.yaml").touch()
    said = marlrun(f"mode={mode}", "run=.")
    told = "marlrun: TypeError: first line second line (HYDRA_FULL_ERROR=1 shows where)\n"
    assert (said.code, said.out, said.err) == (1, "", told)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(TypeError):
        marlrun(f"mode={mode}", "run=.")


def test_exact_ends_in_json(marlrun):
    said = marlrun("mode=exact", "env=matrix_game", "env.payoff=[[1,2],[3,4]]")
    assert said.code == 0 and said.err == ""
    answer = json.loads(said.out.splitlines()[-1])
    assert answer["optimum"] == 4 and answer["random"] == pytest.approx(2.5)
    # exp(payoff) in proportion, for it is common to both agents
    assert answer["lsbre"][1] == pytest.approx([0.2368828, 0.6439143], abs=1e-7)
    assert list(Path.cwd().iterdir()) == []


def test_exact_says_plainly_that_a_game_cannot_be_solved(marlrun):
    said = marlrun("mode=exact", "env=target_capture", "env.size=64", "env.num_agents=8")
    assert said.code == 0
    plain, answer = said.out.splitlines()
    assert plain.startswith("cannot be solved: ")
    assert json.loads(answer) == {"optimum": None, "random": None}


def test_help_lists_what_there_is(marlrun):
    said = marlrun("--help", "algo=dec_drqn")
    assert said.code == 0
    for name in [*ALGOS, *ENVS]:
        assert f"\n  {name} " in said.out
    assert "algo.beta=1.0" in said.out and "float [0, 1]: scale of negative TD errors" in said.out
    assert "mode=exact" in said.out and "mode=graph" in said.out and "Examples:" in said.out
    assert "run=???" in marlrun("-h", "mode=eval").out


def test_version(marlrun):
    assert marlrun("--version").out == f"marlrun {main.__version__}\n"


def test_info_passes_through(marlrun):
    assert "algo/random" in marlrun("--info", "defaults", "algo=random", "env=matrix_game").out


def test_tab_completion(marlrun, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "marlrun algo=dec")
    algos = ["algo=dec_drqn", "algo=dec_hdrqn", "algo=dec_hdrqn_plus"]
    assert marlrun("-sc", "query=bash").out.split() == algos
    monkeypatch.setenv("COMP_LINE", "marlrun mode=eval ep")
    assert marlrun("-sc", "query=bash").out.split() == ["episodes="]
    assert "complete -o nospace" in marlrun("-sc", "install=bash").out


# Files of the user's own


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.fixture
def mine(marlrun) -> Marlrun:
    """Run the command line with a directory of the user's own."""
    write("mine/algo/own.yaml", "# Mine\n_target_: own.Own\nlr: 1e-3\nlayers: 2 # int [1, 9]: n\n")
    write("mine/tuned/own_matrix_game.yaml", "env_steps: 33\nalgo: {layers: 4}\n")
    header = "# @package _global_\n"
    choices = "defaults:\n  - override /algo: dec_hdrqn\n  - override /env: matrix_game\n"
    write("mine/experiment/good.yaml", f"{header}{choices}algo: {{beta: 0.25}}\n")
    write("mine/experiment/typo.yaml", f"{header}algo: {{bta: 0.25}}\n")
    write("mine/experiment/range.yaml", f"{header}algo: {{beta: 2}}\n")
    write("mine/algo/broken.yaml", "a: [1\n")
    return lambda *argv: marlrun("--config-dir", "mine", *argv)


def test_a_users_algorithm_is_checked_like_ours(mine, trained):
    own = ["algo=own", "env=matrix_game"]
    assert mine(*own, "algo.lr=0.5").code == 0
    config = trained[0][0]
    assert config["algo"] == {"_target_": "own.Own", "lr": 0.5, "layers": 4}
    assert config["env_steps"] == 33
    assert "own " in mine("--help").out
    assert refused(mine(*own, "algo.lr=fast")) == "algo.lr=fast: expected float"
    assert refused(mine(*own, "algo.layers=10")) == "algo.layers=10: expected int [1, 9] (n)"
    assert refused(mine(*own, "algo.layer=1")).endswith("did you mean algo.layers?")
    assert "mine/algo/broken.yaml" in refused(mine("algo=broken", "env=matrix_game"))


def test_an_experiment_may_change_but_not_add(mine, trained):
    assert mine("+experiment=good", "algo.lr=0.5").code == 0
    config = trained[0][0]
    assert (config["algo"]["beta"], config["algo"]["lr"]) == (0.25, 0.5)
    chosen = {"algo": "dec_hdrqn", "env": "matrix_game"}
    assert config["choices"] == chosen | {"tuned": "dec_hdrqn_matrix_game"}
    assert config["env"]["game"] == "climb"
    typo = "experiment/typo.yaml: algo.bta: no such key; did you mean algo.beta?"
    assert refused(mine("+experiment=typo", *PAIR)) == typo
    assert "experiment/range.yaml: algo.beta=2: " in refused(mine("+experiment=range", *PAIR))
    assert refused(mine("+experiment=god", *PAIR)).endswith("; did you mean good?")
    assert refused(mine("experiment=good")).endswith("add it by +experiment=good")


def test_published_values_are_checked_for_what_they_are_about(mine, trained):
    """A row about one of the algorithms may name its keys, though others do not have them."""
    head = "# @package _global_\nhydra: {sweeper: {params: {algo: 'dec_hdrqn,random'}}}\n"

    def paper(row: str) -> Said:
        write("mine/experiment/one.yaml", f"{head}paper:\n  - {row}\n")
        return mine("-m", "+experiment=one", "env=matrix_game", "hydra.sweep.dir=s")

    assert "paper[0]: algo.bta: no such key" in refused(
        paper("{algo: dec_hdrqn, algo.bta: 0.2, eval/return_mean: 1}")
    )
    assert not Path("s").exists()
    assert paper("{algo: dec_hdrqn, algo.beta: 0.2, eval/return_mean: 1}").code == 0
    assert len(trained) == 2


def test_hydra_searchpath_is_read_too(mine, marlrun):
    where = f"hydra.searchpath=[file://{Path.cwd() / 'mine'}]"
    said = marlrun(where, "algo=own", "env=matrix_game", "algo.layers=0")
    assert refused(said).startswith("algo.layers=0: expected int [1, 9]")


def test_a_plugin_trains_only_if_it_is_named(mine, monkeypatch):
    code = "from marlrun.algos import random\n\nclass Own(random.Random):\n    pass\n"
    write("package/mypkg.py", code)
    write("mine/algo/plugin.yaml", "# Random again\n_target_: mypkg.Own\n")
    monkeypatch.syspath_prepend("package")
    job = ["algo=plugin", "env=matrix_game", "env_steps=0", "eval.final_episodes=2"]
    assert "_target_=mypkg.Own" in refused(mine(*job))
    said = mine(*job, "plugins=[mypkg]", "hydra.run.dir=run", "eval.episodes=2")
    assert said.code == 0, said.err
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"
    assert "run holds a run already" in refused(mine(*job, "plugins=[mypkg]", "hydra.run.dir=run"))


# In a process of its own


def test_nothing_light_imports_torch(tmp_path):
    light = [["--help"], ["--cfg", "job", *PAIR], [*PAIR, "algo.bta=1"], ["mode=eval", "run=x"]]
    light += [["mode=exact", "env=matrix_game"], ["--version"], ["-m", *PAIR, "seed=0,x"]]
    light += [["mode=demonstrate", "run=x", "out=y"]]
    code = f"""
import sys
from marlrun.cli.main import main
codes = []
for argv in {light!r}:
    sys.argv[1:] = argv
    codes.append(main())
heavy = {{"torch", "tensorboard", "pettingzoo"}} & set(sys.modules)
sys.exit(str([codes, heavy]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stderr.splitlines()[-1] == "[[0, 0, 2, 2, 0, 0, 2, 2], set()]"


BARE = """
import hydra

@hydra.main(version_base="1.3", config_path="pkg://marlrun.conf", config_name="config")
def main(cfg):
    pass

main()
"""


@pytest.mark.slow
def test_answers_about_as_fast_as_a_bare_hydra_application(tmp_path):
    (tmp_path / "bare.py").write_text(BARE)

    def seconds(program: list[str], argv: list[str]) -> float:
        def once() -> float:
            start = time.perf_counter()
            command = [sys.executable, *program, *argv]
            subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
            return time.perf_counter() - start

        return min(once() for _ in range(5))

    for argv in (["--help"], ["--cfg", "job", *PAIR], [*PAIR, "algo.bta=1"]):
        bare = seconds(["bare.py"], argv)
        assert seconds(["-m", "marlrun"], argv) < 1.5 * bare, argv


def test_python_m_marlrun(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "marlrun", "algo=nope"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HYDRA_FULL_ERROR": "1"},
    )
    assert ran.returncode == 2 and ran.stderr.startswith("marlrun: algo=nope: expected ")


# Sweeps


def test_a_sweep_keeps_an_interpolation(marlrun, trained):
    assert marlrun("-m", *PAIR, "replicas=3", "seed=0,1", "name=x${replicas}").code == 0
    assert [config["name"] for config, _, _ in trained] == ["x3", "x3"]


def test_the_directory_of_a_job_may_be_interpolated(marlrun, trained):
    where = ["hydra.sweep.dir=s", "hydra.sweep.subdir=x/${hydra.job.num}"]
    assert marlrun("-m", *PAIR, "seed=0,1", *where).code == 0
    assert [str(directory) for _, directory, _ in trained] == ["s/x/0", "s/x/1"]


def test_a_sweep_in_batches_is_written_down_whole(marlrun, trained):
    one = "hydra.sweeper.max_batch_size=1"
    assert marlrun("-m", *PAIR, "name=stop,a,b", one, "hydra.sweep.dir=s").code == 130
    assert statuses("s") == ["interrupted", "waiting", "waiting"]
    said = marlrun("-m", *PAIR, "name=a,b", one, "hydra.sweep.dir=t")
    assert said.code == 0 and said.err.count("Launching 1 jobs") == 2
    assert "max_batch_size=0: expected int [1, inf)" in refused(
        marlrun("-m", *PAIR, "hydra.sweeper.max_batch_size=0", "hydra.sweep.dir=u")
    )
    assert not Path("u").exists()


def test_keys_of_what_an_experiment_chooses_may_be_typed(mine, trained):
    params = "hydra: {sweeper: {params: {algo: 'dec_drqn,dec_hdrqn', env: target_capture}}}\n"
    write("mine/experiment/swept.yaml", f"# @package _global_\n{params}")
    assert mine("-m", "+experiment=swept", "env.flicker=0.1").code == 0
    assert [config["env"]["flicker"] for config, _, _ in trained] == [0.1, 0.1]


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_stopped_before_its_first_job_is_interrupted(marlrun, trained, monkeypatch, number):
    from marlrun.sweeps import sweeper

    with monkeypatch.context() as patch:
        patch.setattr(sweeper, "job_config", lambda *_: signal.raise_signal(number))
        said = marlrun("-m", *PAIR, "seed=0,1", "hydra.sweep.dir=s")
    assert (said.code, said.out, said.err) == (130, "", "marlrun: interrupted\n")
    assert list(Path.cwd().iterdir()) == []
    assert marlrun("-m", *PAIR, "seed=0,1", "hydra.sweep.dir=s").code == 0 and len(trained) == 2


def test_a_job_that_cannot_have_its_directory_fails_alone(marlrun, trained):
    write("s/0_seed=0", "a file")
    said = marlrun("-m", *PAIR, "seed=0,1", "hydra.sweep.dir=s")
    assert said.code == 1 and statuses("s") == ["failed", "finished"]
    assert "File exists: 's/0_seed=0'" in said.out.splitlines()[1]


def test_a_finished_job_whose_directory_is_gone_is_done_again(marlrun, trained):
    marlrun("-m", *PAIR, "name=a,b", "hydra.sweep.dir=s")
    Path("s/0_name=a").rmdir()
    said = marlrun("mode=resume", "run=s")
    assert said.code == 0 and [config["name"] for config, _, _ in trained] == ["a", "b", "a"]
    assert "s/0_name=a: was finished, but its directory is gone; it is done again" in said.err


def change(sweep: str, **values: object) -> None:
    """Make the first job of a sweep wait, with other values in sweep.json."""
    path = Path(sweep, "sweep.json")
    content = json.loads(path.read_text())
    content["jobs"][0] |= {"status": "waiting", **values}
    path.write_text(json.dumps(content))


def test_nothing_of_a_strangers_sweep_is_interpolated(marlrun, trained):
    marlrun("-m", *PAIR, "name=a", "hydra.sweep.dir=s")
    text = "${oc.env:HOME} \\${x} ${"
    config = trained[0][0] | {"name": text, "hydra": {"sweep": {"dir": text}}}
    config["choices"] = {"algo": text, "env": "???"}
    change("s", config=config, overrides=[f"name={text}", "???"], error=text, directory="???")
    said = marlrun("mode=resume", "run=s")
    assert said.code == 0, said.err
    config, directory, argv = trained[1]
    assert config["name"] == text and config["hydra"] == {"sweep": {"dir": text}}
    assert config["choices"] == {"algo": text, "env": "???"}
    assert str(directory) == "s/???" and argv == ["marlrun", f"name={text}", "???"]
    change("s", config={"choices": 3, "name": None})
    assert marlrun("mode=resume", "run=s").code == 0 and trained[2][0]["choices"] == 3
    change("s", directory="${oc.env:NOPE,evil}")
    assert refused(marlrun("mode=resume", "run=s")).startswith("s/sweep.json: job 0: directory '${")
    assert [path.name for path in Path.cwd().iterdir()] == ["s"]


def test_a_place_that_hydra_would_interpolate_holds_no_sweep(marlrun, trained, monkeypatch):
    Path("${oc.env:HOME}").mkdir()
    monkeypatch.chdir("${oc.env:HOME}")
    line = refused(marlrun("-m", *PAIR, "name=a", "hydra.sweep.dir=s"))
    assert line == f"hydra.sweep.dir={Path.cwd() / 's'}: expected a path without ${{"
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "x", ".lock", "a//b", "."])
def test_a_sweep_whose_jobs_have_no_place_leaves_nothing(marlrun, trained, name: str):
    where = [f"hydra.sweep.subdir={name}", "hydra.sweep.dir=new/s"]
    line = refused(marlrun("-m", *PAIR, "seed=0,1", *where))
    assert line.startswith(f"hydra.sweep.subdir={name}: expected a")
    assert trained == [] and list(Path.cwd().iterdir()) == []


def test_a_refused_resumption_changes_nothing(marlrun, trained):
    marlrun("-m", *PAIR, "name=ok,stop", "hydra.sweep.dir=s")
    before = Path("s/sweep.json").read_bytes()
    for wrong in ("hydra/launcher=nope", "hydra.sweeper.max_batch_size=0", "env_steps=9"):
        assert refused(marlrun("mode=resume", "run=s", wrong))
        assert Path("s/sweep.json").read_bytes() == before


def test_a_sweep_goes_on_where_it_was_copied_to(marlrun, trained, monkeypatch):
    marlrun("-m", *PAIR, "name=ok,stop,a", "hydra.sweep.dir=there/s")
    shutil.copytree("there/s", "here/copy")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    change("../here/copy", config=trained[0][0])
    said = marlrun("mode=resume", "run=../here/copy/")
    assert said.code == 130 and statuses("../here/copy") == ["finished", "interrupted", "waiting"]
    copy = Path("../here/copy")
    for _, directory, _ in trained[2:]:
        assert directory.resolve().parent == copy.resolve()
    assert statuses("../there/s") == ["finished", "interrupted", "waiting"]
    assert list(Path.cwd().iterdir()) == []


def full_from(number: int, monkeypatch) -> list[str]:
    """Let the disk be full from the `number`-th file on that is forced to it; return the files."""
    real, forced = os.fsync, []

    def fsync(descriptor):
        forced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        if len(forced) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return forced


@pytest.mark.parametrize("number", range(1, 15))
def test_a_disk_that_is_full_at_any_moment_of_a_sweep(marlrun, trained, monkeypatch, number: int):
    with monkeypatch.context() as patch:
        forced = full_from(number, patch)
        said = marlrun("-m", *PAIR, "name=a,b", "hydra.sweep.dir=s")
    assert len(forced) >= number, "the sweep was over"
    assert said.code == 1 and "Traceback" not in said.err
    assert said.err.splitlines()[-1].startswith("marlrun: [Errno 28] No space left on device")
    assert "hydra.sweep.dir" not in said.err
    if not Path("s").exists():  # there was no job yet
        assert number <= 4 and list(Path.cwd().iterdir()) == []
        return
    assert len(statuses("s")) == 2
    said = marlrun("mode=resume", "run=s")
    assert said.code == 0 and statuses("s") == ["finished", "finished"]
    assert {config["name"] for config, _, _ in trained} == {"a", "b"}


def test_a_full_disk_is_not_the_fault_of_a_run_s_directory(marlrun, trained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", no_space)
        for flags, key in (([], "hydra.run.dir"), (["-m"], "hydra.sweep.dir")):
            said = marlrun(*flags, *PAIR, f"{key}=new")
            assert (said.code, said.out) == (1, "")
            assert said.err == "marlrun: [Errno 28] No space left on device: 'new'\n"
    assert trained == [] and list(Path.cwd().iterdir()) == []


def no_space(path: object, *_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_why_a_job_could_not_write_down_how_it_ended(marlrun, trained, monkeypatch):
    from marlrun.sweeps.directory import Sweep

    real, calls = Sweep.mark_ended, []

    def mark_ended(sweep, directory, outcome):
        calls.append(directory)
        if len(calls) == 1:
            no_space("s/sweep.json")
        real(sweep, directory, outcome)

    monkeypatch.setattr(Sweep, "mark_ended", mark_ended)
    said = marlrun("-m", *PAIR, "name=a,b", "hydra.sweep.dir=s")
    assert said.code == 1 and statuses("s") == ["failed", "finished"]
    cause = "OSError: [Errno 28] No space left on device: 's/sweep.json'"
    assert json.loads(Path("s/sweep.json").read_text())["jobs"][0]["error"] == cause
    assert cause in said.out.splitlines()[1]


def test_a_sweep_shows_what_its_jobs_do_not_share(marlrun, trained):
    said = marlrun("-m", *PAIR, "seed=0,1", "hydra.sweep.dir=s")
    assert [line.split()[2] for line in said.out.splitlines()[1:3]] == ["seed=0", "seed=1"]
    said = marlrun("-m", *PAIR, "seed=0", "hydra.sweep.dir=t")
    assert "algo=dec_hdrqn env=matrix_game seed=0" in said.out
    assert said.out.splitlines()[-1] == "1 job: 1 finished"


def test_the_composition_of_many_jobs_is_announced(marlrun, trained, monkeypatch):
    from marlrun.sweeps import sweeper

    monkeypatch.setattr(sweeper, "_MANY", 1)
    assert "marlrun: composing 2 jobs\n" in marlrun("-m", *PAIR, "seed=0,1").err


OPTUNA = ["-m", *PAIR, "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=2"]


@pytest.mark.filterwarnings("ignore")  # of Optuna's libraries
def test_a_search_ends_at_the_first_result_without_the_objective(marlrun, trained):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    said = marlrun(*OPTUNA, "seed=choice(0,1)", "objective=x", "hydra.sweep.dir=s")
    assert said.code == 1 and statuses("s") == ["finished"]
    line = "hydra/sweeper=optuna: ValueError: objective=x: expected one of eval/return_mean\n"
    assert line in said.err


@pytest.mark.filterwarnings("ignore")  # of Optuna's libraries
def test_files_of_the_user_change_a_search(mine, trained):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    strict = "hydra: {sweeper: {direction: minimize, max_failure_rate: 0.0}}\n"
    write("mine/experiment/strict.yaml", f"# @package _global_\n{strict}")
    search = [*OPTUNA, "name=choice(crash)"]
    for extra, tried, direction in (["+experiment=strict"], 1, "min"), ([], 2, "max"):
        said = mine(*search, *extra, f"hydra.sweep.dir={tried}")
        assert said.code == 1 and statuses(str(tried)) == ["failed"] * tried
        assert f"Directions: ['{direction}imize']" in said.err


# Graphs

TORUS = ["mode=graph", "graph=torus", "num_agents=20"]


def test_a_graph_ends_in_json_and_leaves_a_picture(marlrun):
    said = marlrun(*TORUS)
    assert said.code == 0 and said.err == ""
    assert json.loads(said.out.splitlines()[-1]) == {
        "rho": 0.523607,
        "second_singular_value": 0.723607,
        "spectral_gap": 0.276393,
        "edges": 40,
        "connected": True,
    }
    assert "(exact; " in said.out and "picture: torus_20.png" in said.out
    (picture,) = Path.cwd().iterdir()
    assert picture.name == "torus_20.png" and picture.read_bytes().startswith(b"\x89PNG")


def test_a_changing_graph_is_measured_by_its_rounds(marlrun):
    chosen = ["mode=graph", "graph=erdos_renyi", "num_agents=20", "draws=100", "out=my.svg"]
    said = marlrun(*chosen)
    answer = json.loads(said.out.splitlines()[-1])
    assert said.code == 0 and "(estimated from 100 rounds; " in said.out
    assert answer["edges"] == 38 and 0.24 < answer["rho"] < 0.28
    assert [path.name for path in Path.cwd().iterdir()] == ["my.svg"]
    other = json.loads(marlrun(*chosen, "seed=1").out.splitlines()[-1])
    assert other["rho"] != answer["rho"]


def test_a_graph_of_many_agents_is_measured_and_drawn(marlrun):
    said = marlrun("mode=graph", "graph=k_regular", "num_agents=2000")
    answer = json.loads(said.out.splitlines()[-1])
    # Alon and Boppana: (1 + 2 sqrt(k - 1)) / (k + 1) is about the best of 4-regular graphs.
    assert answer["second_singular_value"] == pytest.approx(0.893, abs=0.01)
    assert answer["edges"] == 4000


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (["graph=none"], None),
        (["graph=k_regular", "graph.k=1"], "graph: disconnected in the mean with seed 0"),
        (["graph=star", "graph.weights=uniform_row"], "graph.weights=uniform_row: not column-st"),
    ],
)
def test_a_graph_that_breaks_assumptions_is_shown_with_a_warning(marlrun, chosen, told):
    said = marlrun("mode=graph", *chosen, "num_agents=8")
    assert said.code == 0
    assert said.err.startswith(f"marlrun: {told}") if told else said.err == ""
    answer = json.loads(said.out.splitlines()[-1])
    assert answer["connected"] == (chosen[0] == "graph=star")


GOODS = ["algo=networked_ac_q", "env=public_goods"]
NEAR = ["algo=networked_ac_q", "env=networked_spread", "graph=positions"]
NO_GRAPH = [
    (["mode=graph", "num_agents=5"], "graph missing: expected graph="),
    (["mode=graph", "graph=ring"], "num_agents missing: expected num_agents=int [1, "),
    (["mode=graph", "graph=ring", "num_agents=0"], "num_agents=0: expected int [1, "),
    (["mode=graph", "graph=rin", "num_agents=5"], "; did you mean ring?"),
    ([*TORUS, "graph.shape=[3,5]"], "graph.shape=[3, 5]: expected rows and columns for the 20"),
    ([*TORUS, "graph.wights=uniform_row"], "graph.wights: no such key in graph.yaml; did you mean"),
    ([*TORUS, "graph.among=[rig]"], "graph.among=['rig']: expected list of complete | ring |"),
    ([*TORUS, "graph.failure=1"], "graph.failure=1: expected float [0, 1) or null ("),
    ([*TORUS, "graph.failure=0.5"], "graph.failure=0.5: expected graph.dynamics=link_failure"),
    ([*TORUS, "out=here/x.png"], "out=here/x.png: no such directory: here"),
    ([*TORUS, "out=x.doc"], "out=x.doc: expected a file .png, .svg or .pdf"),
    ([*TORUS, "hydra.run.dir=x"], "hydra.run.dir: only mode=train has run directories"),
    (["mode=graph", "graph=from_file", "num_agents=5"], "graph.file missing: expected graph.file="),
    (["mode=graph", "graph=from_file", "num_agents=5", "graph.file=a.csv"], "a.csv: no such file"),
    (["mode=graph", "graph=erdos_renyi", "graph.probability=1.5"], "graph.probability=1.5: expect"),
    ([*PAIR, "graph=ring"], "graph=ring: algo dec_hdrqn takes no graph"),
    ([*PAIR, "num_agents=4"], "num_agents: no such key; did you mean "),
    ([*GOODS, "graph.weights=metropolis"], "graph.weights: choose a graph with it, graph=bara"),
    ([*GOODS, "graph=ring", "graph.k=3"], "graph.k: no such key; graph takes weights, dynamics, "),
    (
        ["mode=graph", "graph=positions", "num_agents=5"],
        "graph=positions: mode=graph plays no game in which agents are near each other, expected an",
    ),
    (
        ["algo=networked_ac_q", "env=spread", "graph=positions"],
        "graph=positions: env Spread does not say who is near whom (Spec.has_adjacency), expected",
    ),
    (
        ["algo=ippo", "env=networked_spread", "graph=positions"],
        "graph=positions: algo ippo takes no graph",
    ),
    (
        [*NEAR, "graph.dynamics=gossip"],
        "graph.dynamics=gossip: expected static | link_failure (",
    ),
    ([*NEAR, "graph.weights=best_constant"], "graph.weights=best_constant: expected metropolis |"),
    ([*NEAR, "graph.every=2"], "graph.every=2: expected 1 with graph.dynamics=static"),
    ([*NEAR, "graph.window=0"], "graph.window=0: expected int [1, inf) ("),
    (["mode=exact", "env=public_goods", "graph.k=3"], "graph.k: no such key in exact.yaml"),
    (
        ["algo=networked_ac_q", "env=public_goods", "graph=hypercube"],
        "graph=hypercube: expected a power of 2 agents, there are 6",
    ),
]


@pytest.mark.parametrize(
    ("argv", "expected"), NO_GRAPH, ids=[" ".join(argv) for argv, _ in NO_GRAPH]
)
def test_a_wrong_graph_is_refused_in_one_line(marlrun: Marlrun, argv: list[str], expected: str):
    assert expected in refused(marlrun(*argv))
    assert list(Path.cwd().iterdir()) == []


def test_the_graph_is_among_what_was_chosen(marlrun, trained):
    chosen = ["algo=networked_ac_q", "env=public_goods"]
    assert marlrun(*chosen, "graph=ring", "graph.weights=lazy_metropolis").code == 0
    config = trained[0][0]
    names = {"algo": "networked_ac_q", "env": "public_goods", "graph": "ring"}
    assert config["choices"] == names | {"tuned": "networked_ac_q_public_goods"}
    assert config["graph"]["weights"] == "lazy_metropolis"
    assert marlrun("-m", *chosen, "graph=ring,star").code == 0
    assert [directory.name for _, directory, _ in trained[1:]] == ["0_ring", "1_star"]
    assert trained[2][0]["choices"]["graph"] == "star"


def test_positions_are_swept_beside_other_graphs(marlrun, trained):
    assert marlrun("-m", *NEAR[:2], "graph=positions,none,complete").code == 0
    assert [directory.name for _, directory, _ in trained] == [
        "0_positions",
        "1_none",
        "2_complete",
    ]
    assert trained[0][0]["graph"]["window"] == 25 and "window" not in trained[1][0]["graph"]
