"""What is typed, and what files of the user's own say, is refused in time and rightly."""

import json
import os
from pathlib import Path

import pytest
import test_cli
from test_cli import CAPTURE, PAIR, Marlrun, Said, refused, write

from marlrun.report import cli as report

marlrun, trained = test_cli.marlrun, test_cli.trained
LINKED = ["algo=networked_ac_q", "env=public_goods", "env.num_agents=3", "graph=from_file"]
QUICK = [*CAPTURE, "env_steps=0", "eval.episodes=1", "eval.final_episodes=1"]


def here() -> list[str]:
    """Return what lies in the current directory."""
    return sorted(path.name for path in Path.cwd().iterdir())


@pytest.fixture
def home(marlrun: Marlrun, tmp_path_factory, monkeypatch) -> Path:
    """Give the process a home directory of its own, beside the current directory."""
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(directory))
    return directory


# `~`


def test_a_run_directory_below_home(marlrun, trained, home):
    assert marlrun(*PAIR, "hydra.run.dir=~/runs/a").code == 0
    assert marlrun(*PAIR, "hydra.run.dir='~/runs/b'").code == 0
    assert [directory for _, directory, _ in trained] == [home / "runs/a", home / "runs/b"]
    assert here() == []


@pytest.mark.parametrize("key", ["hydra.sweep.dir", "hydra.run.dir"])
def test_a_sweep_directory_below_home(marlrun, trained, home, key: str):
    assert marlrun("-m", *PAIR, "seed=0,1", f"{key}=~/s").code == 0
    assert [directory for _, directory, _ in trained] == [home / "s/0_seed=0", home / "s/1_seed=1"]
    assert marlrun("mode=resume", "run=~/s").err == (
        f"marlrun: {home}/s: all jobs are finished, nothing to do\n"
    )
    assert here() == []


@pytest.mark.parametrize("mode", ["eval", "resume"])
def test_a_run_and_a_checkpoint_below_home(marlrun, home, mode: str):
    assert refused(marlrun(f"mode={mode}", "run=~/r,a=b")) == f"run={home}/r,a=b: no such directory"
    assert marlrun(*QUICK, "hydra.run.dir=~/r").code == 0
    taken = ["checkpoint=~/r/checkpoints/step_0.pt", "episodes=2"] if mode == "eval" else []
    said = marlrun(f"mode={mode}", "run=~/r", *taken)
    assert said.code == 0
    told = f"{home}/r/checkpoints/step_0.pt: env step 0," if taken else f"{home}/r is finished"
    assert said.err.startswith(told) and here() == []


def test_a_picture_and_a_graph_below_home(marlrun, home):
    write(f"{home}/g.txt", "0 1\n1 2\n")
    chosen = ["mode=graph", "graph=from_file", "num_agents=3"]
    said = marlrun(*chosen, "graph.file=~/g.txt", "out=~/p.png")
    assert said.code == 0 and f"picture: {home}/p.png" in said.out
    assert (home / "p.png").is_file() and here() == []


def test_the_files_of_a_run_and_of_a_sweep_below_home(marlrun, trained, home):
    write(f"{home}/a.txt", "0 1\n1 2\n")
    write(f"{home}/b.txt", "0 1\n0 2\n")
    assert marlrun(*LINKED, "graph.file=~/a.txt").code == 0
    assert marlrun("-m", *LINKED, "graph.file=~/a.txt,~/b.txt", "hydra.sweep.dir=s").code == 0
    run, *jobs = [config["graph"]["file"] for config, _, _ in trained]
    assert run == f"{home}/a.txt"
    assert [Path(f"s/{copy}").read_text() for copy in jobs] == ["0 1\n1 2\n", "0 1\n0 2\n"]
    stored = json.loads(Path("s/sweep.json").read_text())["jobs"]
    assert [job["config"]["graph"]["file"] for job in stored] == jobs


def test_a_path_that_only_the_first_combination_takes_is_expanded(marlrun, trained, home):
    write("mine/algo/own.yaml", "# Own\n_target_: own.Own\nfile: ~/a  # path: a file\n")
    chosen = ["--config-dir=mine", "algo=own,random", "env=matrix_game"]
    assert marlrun("-m", *chosen, "hydra.sweep.dir=s").code == 0
    (first, _, _), (last, _, _) = trained
    assert first["algo"]["file"] == f"{home}/a" and "file" not in last["algo"]


@pytest.mark.parametrize("where", ["--config-dir=~/mine", "hydra.searchpath=[~/mine]"])
def test_files_below_home_and_paths_in_them(marlrun, trained, home, where: str):
    text = "# @package _global_\nname: h\ngraph: {file: ~/g.txt}\n"
    write(f"{home}/mine/experiment/h.yaml", text)
    assert marlrun(where, "+experiment=h", *LINKED).code == 0
    config = trained[0][0]
    assert (config["name"], config["graph"]["file"]) == ("h", f"{home}/g.txt")


@pytest.mark.parametrize(
    ("argv", "key"),
    [
        ([*PAIR, "hydra.run.dir=~nobody-here/x"], "hydra.run.dir=~nobody-here/x"),
        (["-m", *PAIR, "hydra.sweep.dir=~nobody-here/x"], "hydra.sweep.dir=~nobody-here/x"),
        (["mode=eval", "run=~nobody-here/x"], "run=~nobody-here/x"),
        (["mode=graph", "graph=ring", "num_agents=3", "out=~nobody-here/x"], "out=~nobody-here/x"),
        ([*LINKED, "graph.file=~nobody-here/x"], "graph.file=~nobody-here/x"),
        (["-m", *LINKED, "graph.file=a,~nobody-here/x"], "graph.file=~nobody-here/x"),
        (["--config-dir=~nobody-here/x"], "--config-dir=~nobody-here/x"),
        ([*PAIR, "hydra.searchpath=[~nobody-here/x]"], "hydra.searchpath=~nobody-here/x"),
    ],
)
def test_the_home_of_nobody_is_refused(marlrun, trained, argv: list[str], key: str):
    expected = "~nobody-here has no home directory; a file of this name is ./~nobody-here/x"
    assert refused(marlrun(*argv)) == f"{key}: {expected}"
    assert here() == [] and trained == []


def test_a_path_with_an_interpolation_is_expanded(marlrun, trained, home, monkeypatch):
    monkeypatch.setenv("PLACE", "~/runs")
    where = ["graph.file=~/${name}.txt", "name=g", "hydra.run.dir=${oc.env:PLACE}/a"]
    assert marlrun(*LINKED, *where).code == 0
    assert trained[0][0]["graph"]["file"] == f"{home}/g.txt"
    assert trained[0][1] == home / "runs/a" and here() == []


def test_a_tilde_that_is_no_path_stays(marlrun, trained, home):
    assert marlrun(*PAIR, "name=~x").code == 0
    assert trained[0][0]["name"] == "~x"


def test_the_report_expands_home(home, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (home / "runs").mkdir()
    assert report.main(["~/runs", "--out=~/x"]) == 2
    assert f"{home}/runs" in capsys.readouterr().err
    assert report.main(["--out=~nobody-here/x", "."]) == 2
    assert "argument --out: ~nobody-here/x: ~nobody-here has no home" in capsys.readouterr().err
    assert report.main(["--out=", "."]) == 2
    assert "argument --out: expected a path, not an empty text" in capsys.readouterr().err
    assert here() == []


# Accepted in silence

NO_PLACE = "expected a directory other than the current one, home and /"
SWEEPS = "only a sweep has it; expected hydra.run.dir=DIR, or -m too"
SILENT = [
    *(([*PAIR, f"hydra.run.dir={at}"], f"hydra.run.dir={at}: {NO_PLACE}") for at in ("", "/", ".")),
    *(
        (["-m", *PAIR, f"hydra.sweep.dir={at}"], f"hydra.sweep.dir={at}: {NO_PLACE}")
        for at in ("", "/", ".", "~")
    ),
    ([*PAIR, "hydra.sweep.dir=x"], f"hydra.sweep.dir: {SWEEPS}"),
    ([*PAIR, "hydra.sweep.subdir=x"], f"hydra.sweep.subdir: {SWEEPS}"),
    (
        ["-m", *PAIR, "hydra.run.dir=a", "hydra.sweep.dir=b"],
        "hydra.run.dir and hydra.sweep.dir: expected only one of them",
    ),
    ([*PAIR, "name="], "name=: expected text or null (a name for the run, shown in its directory"),
    ([*PAIR, "objective="], "objective=: expected text (the result, "),
    (["mode=eval", "run="], "run=: expected latest or path (the run directory; latest is "),
    (["mode=eval", "run=x", "checkpoint="], "checkpoint=: expected best | latest or path ("),
    (["mode=graph", "graph=ring", "num_agents=3", "out="], "out=: expected path or null ("),
    ([*LINKED, "graph.file="], "graph.file=: expected path ("),
    (["--config-dir=", *PAIR], "--config-dir=: no such directory"),
    (
        [*PAIR, "hydra.searchpath=[file:///nowhere]"],
        "hydra.searchpath=file:///nowhere: no such dir",
    ),
    ([*PAIR, "hydra.searchpath=[pkg://nope]"], "hydra.searchpath=pkg://nope: no such directory"),
    *(
        ([*flags, *PAIR, f"hydra.output_subdir={at}"], f"hydra.output_subdir={at}: expected null, ")
        for flags in ([], ["-m"])
        for at in ("", ".", ".hydra")
    ),
    *(
        ([*PAIR, f"{key}=x"], f"{key}: Hydra sets it, expected that you leave it out")
        for key in ("hydra.mode", "hydra.job.num", "hydra.job.id", "hydra.runtime.output_dir")
    ),
    ([*PAIR, "hydra.overrides.task=[]"], "hydra.overrides.task: Hydra sets it, expected that you"),
]


@pytest.mark.parametrize(("argv", "expected"), SILENT, ids=[" ".join(argv) for argv, _ in SILENT])
def test_nothing_is_accepted_and_then_ignored(marlrun, trained, argv: list[str], expected: str):
    assert refused(marlrun(*argv)).startswith(expected)
    assert here() == [] and trained == []


def test_a_sweep_is_resumed_without_files_of_hydras_in_its_runs(marlrun):
    marlrun("-m", *QUICK, "hydra.sweep.dir=s")
    before = {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()}
    sweep = json.loads(Path("s/sweep.json").read_text())
    sweep["jobs"][0]["status"] = "interrupted"
    Path("s/sweep.json").write_text(json.dumps(sweep))
    line = refused(marlrun("mode=resume", "run=s", "hydra.output_subdir=."))
    assert line.startswith("hydra.output_subdir=.: expected null, ")
    assert Path("s/0/config.yaml").read_bytes() == before[Path("s/0/config.yaml")]


def test_what_hydra_may_be_told_still_is(marlrun, trained):
    assert marlrun(*PAIR, "hydra.job.name=x", "hydra.verbose=true", "hydra.run.dir=a/..b").code == 0
    assert marlrun("-m", *PAIR, "hydra.job.chdir=true", "hydra.sweep.dir=s").code == 0
    assert "dir: x" in marlrun(*PAIR, "hydra.sweep.dir=x", "--cfg", "hydra").out
    assert [directory for _, directory, _ in trained] == [Path("a/..b"), Path("s/0").absolute()]


PLUGINS = {
    "nope": "no such package, expected one that is installed or lies in a directory of PYTHONPATH",
    "marlrun.nope": "no such package, expected one that is installed or lies in a directory of PYT",
    "../x": "expected the name of a package",
    "broken": "cannot be imported: SyntaxError: ",
    "needs_more": "cannot be imported: ModuleNotFoundError: No module named 'nothing_such'",
    "raises": "cannot be imported: RuntimeError: first second",
}


@pytest.mark.parametrize("mode", ["train", "sweep", "eval", "resume", "resume sweep", "graph"])
@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_that_cannot_be_imported_is_refused_by_name(
    marlrun, trained, monkeypatch, name: str, mode: str
):
    write("package/broken.py", "def")
    write("package/needs_more.py", "import nothing_such")
    write("package/raises.py", "raise RuntimeError('first\\nsecond')")
    write("run/config.yaml", "")
    write("s/sweep.json", json.dumps(SWEEP))
    monkeypatch.syspath_prepend("package")
    before = sorted(Path.cwd().rglob("*"))
    argv = {
        "train": PAIR,
        "sweep": ["-m", *PAIR, "seed=0,1"],
        "eval": ["mode=eval", "run=run"],
        "resume": ["mode=resume", "run=run"],
        "resume sweep": ["mode=resume", "run=s"],
        "graph": ["mode=graph", "graph=ring", "num_agents=3"],
    }[mode]
    line = refused(marlrun(*argv, f"plugins=[email,{name}]"))
    assert line.startswith(f"plugins=[{name}]: {PLUGINS[name]}")
    after = [path for path in sorted(Path.cwd().rglob("*")) if "__pycache__" not in path.parts]
    assert after == before and trained == []


JOB = {"number": 0, "overrides": [], "directory": "0", "config": {"name": None}}
SWEEP = {
    **{"argv": [], "swept": [], "host": "", "pid": 1, "started": "", "finished": None},
    "jobs": [JOB],
}

# Lines that say how to write it

LINES = [
    ([*PAIR, "env_steps=1e6"], "env_steps=1000000.0: expected int [0, inf) or null ("),
    ([*PAIR, "env_steps=1e6"], "; an int is written 1000000 or 1_000_000"),
    ([*PAIR, "eval.every=10.0"], "; an int is written 10"),
    ([*PAIR, "algo.sizes=[1e2,2,3,4]"], "; ints are written [100, 2, 3, 4]"),
    ([*PAIR, "name=5"], """; as a text it is written name="'5'\""""),
    ([*PAIR, "name=true"], """; as a text it is written name="'true'\""""),
    (
        ["~algo", *PAIR],
        "~algo: a group cannot be deleted; leave it out, or choose one by algo=bc",
    ),
    (
        [*PAIR, "~env"],
        "~env: a group cannot be deleted; leave it out, or choose one by env=adversary | matrix_game",
    ),
    (["mode=exact", "env=matrix_game", "~env"], "~env: a group cannot be deleted; "),
    (["train", *PAIR], "train: expected KEY=VALUE; did you mean mode=train?"),
    (["eval", "run=x"], "eval: expected KEY=VALUE; did you mean mode=eval?"),
    (["resum", "run=x"], "resum: expected KEY=VALUE; did you mean mode=resume?"),
    (["go", *PAIR], "go: expected KEY=VALUE, special characters in quotes within quotes"),
]
ALONE = "expected range(..), interval(..) or glob(..) alone, or all values one by one"


@pytest.mark.parametrize(("argv", "expected"), LINES, ids=[" ".join(argv) for argv, _ in LINES])
def test_a_refusal_says_how_to_write_it(marlrun, argv: list[str], expected: str):
    assert expected in refused(marlrun(*argv))


@pytest.mark.parametrize("value", ["1.5", "1e300", "-1e3", "nan", "inf"])
def test_what_is_no_int_gets_no_advice(marlrun, value: str):
    line = refused(marlrun(*PAIR, f"env_steps={value}"))
    assert line.endswith("(environment steps per replica, summed over its copies; null = 50000)")


def test_an_int_may_be_grouped(marlrun, trained):
    assert marlrun(*PAIR, "env_steps=1_000_000").code == 0
    assert trained[0][0]["env_steps"] == 1_000_000


@pytest.mark.parametrize(
    "override",
    ["seed=range(0,2),5", "seed=5,interval(0,2)", "algo=glob(dec_*),random", "seed=[range(0,2)]"],
)
def test_a_range_among_other_values_is_refused(marlrun, trained, override: str):
    assert refused(marlrun("-m", *PAIR, override)) == f"{override}: {ALONE}"
    assert here() == []
    assert marlrun("-m", *PAIR, "seed=range(0,3,2)").code == 0
    assert [config["seed"] for config, _, _ in trained] == [0, 2]


# Files of the user's own

HEADER = "# @package _global_\n"
LATE = "# @package _global_ is on line {}, expected at the beginning of the file"
FILES: dict[str, tuple[str | bytes, str]] = {
    "bool": (f"{HEADER}name: no\n", "name=false: expected text or null (a name for the run, shown"),
    "bool2": (f"{HEADER}name: no\n", '; as a text it is written name: "no"'),
    "number": (f"{HEADER}name: 5\n", '; as a text it is written name: "5"'),
    "float": (f"{HEADER}env_steps: 1e6\n", "; an int is written 1000000 or 1_000_000"),
    "time": (
        f"{HEADER}name: 12:30:00\n",
        'time.yaml: YAML reads 12:30:00 on line 2 as 45000: expected "12:30:00" in quotes, or 45000',
    ),
    "octal": (
        f"{HEADER}\nseed: 010\n",
        'octal.yaml: YAML reads 010 on line 3 as 8: expected "010" in quotes, or 8',
    ),
    "octals": (
        f"{HEADER}algo: {{sizes: [1, 010]}}\n",
        "octals.yaml: YAML reads 010 on line 2 as 8",
    ),
    "late": (f"# About\n\n{HEADER}", f"late.yaml: {LATE.format(3)}"),
    "after": (f"name: x\n{HEADER}", f"after.yaml: {LATE.format(2)}"),
    "mark": (
        f"\ufeff{HEADER}name: x\n",
        "mark.yaml: # @package _global_ is on line 1 after a byte order mark, expected at the begin",
    ),
    "headless": (
        "name: x\n",
        "+experiment=headless: no experiment in config.yaml; expected `# @package _global_` on the "
        "first line of experiment/headless.yaml",
    ),
    "header": ("# @package a b\nname: x\n", "header.yaml: Too many components in '@package a b'"),
    "latin": (f"{HEADER}name: \xe4\n".encode("latin-1"), "latin.yaml: expected UTF-8, byte 26 is"),
    "tab": (f"{HEADER}name:\n\tx: 1\n", "tab.yaml is not plain YAML: "),
    "tab2": (f"{HEADER}name:\n\tx: 1\n", ", line 3, column 1"),
    "twice": (f"{HEADER}name: x\nname: y\n", "found duplicate key name in "),
    "twice2": (f"{HEADER}name: x\nname: y\n", 'twice2.yaml", line 3'),
    "list": (f"{HEADER}- x\n", "list.yaml: expected a mapping of keys to values"),
    "word": ("hello\n", "word.yaml: expected a mapping of keys to values"),
    "loop": (f"{HEADER}paper: &a [*a]\n", "loop.yaml: expected at most 200000 values"),
    "deep": (f"{HEADER}paper: {'[' * 200_000}", "deep.yaml: nested too deeply"),
}


@pytest.fixture
def from_files(marlrun) -> Marlrun:
    """Run the command line with a directory that holds all `FILES`."""
    for name, (content, _) in FILES.items():
        path = Path(f"mine/experiment/{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.mkfifo("mine/experiment/pipe.yaml")
    return lambda *argv: marlrun("--config-dir=mine", *argv)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_is_named(from_files, trained, name: str):
    assert FILES[name][1] in refused(from_files(f"+experiment={name}", *PAIR))
    assert here() == ["mine"] and trained == []


def test_one_bad_file_does_not_end_help(from_files):
    said: Said = from_files("--help")
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if line.startswith("  latin ")]
    assert line.endswith("mine/experiment/latin.yaml: expected UTF-8, byte 26 is none")
    assert "  pipe " not in said.out and "  late      " in said.out


def test_files_that_hydra_can_read_are_read(marlrun, trained):
    write("mine/experiment/fine.yaml", f"\n\n{HEADER}name: '010'\nenv_steps: 1_000\nseed: 0x10\n")
    write("mine/algo/own.yaml", "\ufeff# Own\n_target_: own.Own\nlr: 1e-3  # float (0, 1]: rate\n")
    chosen = ["--config-dir=mine", "env=matrix_game", "algo=own"]
    assert marlrun(*chosen, "+experiment=fine").code == 0
    assert marlrun(*chosen, "+experiment=fine.yaml").code == 0
    config, again = trained[0][0], trained[1][0]
    assert config == again
    assert (config["name"], config["env_steps"], config["seed"]) == ("010", 1000, 16)
    assert refused(marlrun(*chosen, "algo.lr=2")) == "algo.lr=2: expected float (0, 1] (rate)"


# Damaged documents of a run

CUT = '{"argv": ["marl'


@pytest.fixture
def run(marlrun) -> Path:
    """Train a run that can be gone on with."""
    assert marlrun(*QUICK, "hydra.run.dir=run").code == 0
    return Path("run")


@pytest.mark.parametrize(("text", "reason"), [("", "Expecting value"), (CUT, "Unterminated")])
def test_a_damaged_run_json_is_named_with_the_way_out(marlrun, run, text: str, reason: str):
    (run / "run.json").write_text(text)
    line = refused(marlrun("mode=resume", "run=run"))
    assert line.startswith(f"run/run.json is not JSON: {reason}")
    assert line.endswith("; delete it, and mode=resume goes on from the newest checkpoint")
    (run / "run.json").unlink()
    assert marlrun("mode=resume", "run=run").code == 0
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "run/config.yaml: expected a mapping of keys to values; restore it from a copy, or"),
        ("algo: {", "run/config.yaml is not plain YAML: "),
        ("mode: train\n", "run/config.yaml: name: missing in the configuration, expected text or"),
        ("mode: train\nname:\nseed: x", "run/config.yaml: seed=x: expected int ["),
    ],
)
@pytest.mark.parametrize("mode", ["eval", "resume"])
def test_a_damaged_config_yaml_is_named(marlrun, run, mode: str, text: str, expected: str):
    (run / "config.yaml").write_text(text)
    line = refused(marlrun(f"mode={mode}", "run=run"))
    assert line.startswith(expected)
    is_no_mapping = text in ("", "algo: {")
    assert line.endswith("or train again in another directory") == is_no_mapping


@pytest.mark.parametrize(("text", "reason"), [("", "Expecting value"), (CUT, "Unterminated")])
def test_a_damaged_sweep_json_is_named_with_the_way_out(marlrun, text: str, reason: str):
    marlrun("-m", *QUICK, "hydra.sweep.dir=s")
    Path("s/sweep.json").write_text(text)
    line = refused(marlrun("mode=resume", "run=s"))
    assert line.startswith(f"s/sweep.json is not JSON: {reason}")
    assert line.endswith("; mode=resume run=s/JOB goes on with one of its jobs")
    assert marlrun("mode=resume", "run=s/0").code == 0


def test_a_name_that_is_too_long_is_refused(marlrun):
    long = "a" * 300
    for key in ("hydra.run.dir", "hydra.sweep.dir"):
        words = ["-m", "seed=0,1"] if key == "hydra.sweep.dir" else []
        line = refused(marlrun(*QUICK, *words, f"{key}={long}"))
        assert line.startswith(
            f"{key}={long}: expected a directory that can be made: File name too"
        )
    for mode in ("eval", "resume"):
        assert refused(marlrun(f"mode={mode}", f"run={long}")) == f"run={long}: no such directory"
    assert here() == []
