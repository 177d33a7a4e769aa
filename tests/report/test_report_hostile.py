"""What a stranger, a crash or the user's own settings may do to a report."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from report.damage import damage
from report.fakes import TAG, write_run

from marlrun.report.cli import main
from marlrun.report.render import tables
from marlrun.system.reading import read_yaml

GRAPH = [sys.executable, "-m", "marlrun", "mode=graph", "graph=ring", "num_agents=4"]
REPORT = [sys.executable, "-m", "marlrun.report.cli"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", {0: [0.1, 0.2], 1: [0.3, 0.4]}, seconds=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


NOT_OURS = [
    "report.html",
    "report.md",
    "results.csv",
    "marl_eval.json",
    "curves.png",
    "profile.svg",
]


@pytest.mark.parametrize("name", [*NOT_OURS, "curves_3.png", "hyperparameters_a_b.svg"])
def test_nothing_is_written_or_deleted_through_a_link(tmp_path, run, capsys, name):
    out, mine = tmp_path / "out", tmp_path / "mine"
    out.mkdir()
    mine.write_text("mine")
    (out / name).symlink_to(mine)
    (out / "seeds.csv").write_text("old")
    assert main([str(run), "--out", str(out)]) == 2
    said = "nothing is written through links; replace the link by what it leads to"
    assert capsys.readouterr().err == f"marlrun-report: {out / name} is a link: {said}\n"
    assert mine.read_text() == "mine" and (out / name).is_symlink()
    assert contents(out) == {name: b"mine", "seeds.csv": b"old"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, ": expected a regular file or a directory"),
        (Path.mkdir, " is a directory: expected a file of an older report"),
    ],
)
def test_what_is_no_file_is_not_written_over(tmp_path, run, capsys, make, message):
    path = tmp_path / "out" / "report.html"
    path.parent.mkdir()
    make(path)
    assert main([str(run), "--out", str(path.parent)]) == 2
    assert capsys.readouterr().err == f"marlrun-report: {path}{message}\n"
    assert list(path.parent.iterdir()) == [path]


def test_the_directory_that_was_named_may_be_a_link_but_not_to_nothing(tmp_path, run, capsys):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    assert main([str(run), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "real/report.html").exists()
    capsys.readouterr()
    (tmp_path / "lost").symlink_to("nowhere")
    assert main([str(run), "--out", str(tmp_path / "lost")]) == 1
    assert capsys.readouterr().err == f"marlrun-report: {tmp_path / 'lost'}: Not a directory\n"


def test_a_file_with_another_name_keeps_what_it_has_there(tmp_path, run):
    mine, out = tmp_path / "mine", tmp_path / "out"
    out.mkdir()
    mine.write_text("mine")
    (out / "report.md").hardlink_to(mine)
    assert main([str(run), "--out", str(out)]) == 0
    assert mine.read_text() == "mine" and (out / "report.md").read_text().startswith("# Report")


def test_a_full_disk_leaves_no_half_file(tmp_path, run, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main([str(run), "--out", str(out)]) == 0
    whole = contents(out)
    capsys.readouterr()
    calls: list[Path] = []
    replace = Path.replace

    def fill(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fill)
    assert main([str(run), "--out", str(out)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"marlrun-report: {calls[2]}: No space left on device"
    assert contents(out) == whole


SETTINGS = {
    "backend": ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, ""),
    "working directory": (
        {"MPLBACKEND": "nowhere"},
        "text.usetex: true\nfigure.facecolor: black\nbackend: nowhere\n",
    ),
    "damaged": ({}, "no such thing\n\x00: : :\n"),
    "variable": ({"MATPLOTLIBRC": "."}, "lines.linewidth: 9\naxes.formatter.use_locale: true\n"),
    "no home": ({"HOME": "/proc/none", "MPLCONFIGDIR": "/proc/none"}, ""),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_setting_of_the_user_reaches_a_figure(tmp_path, run, kind):
    environment, text = SETTINGS[kind]
    with_settings = tmp_path / "here"
    with_settings.mkdir()
    if text:
        (with_settings / "matplotlibrc").write_text(text)
    shown = []
    for folder, variables in ((tmp_path, {}), (with_settings, environment)):
        out = folder / "out"
        given = {"cwd": folder, "env": os.environ | variables, "capture_output": True, "text": True}
        report = [*REPORT, str(run), "--out", str(out)]
        done = subprocess.run(report, check=False, **given)
        assert done.returncode == 0 and "Fewer than 5 seeds" in done.stderr
        assert done.stderr.count("\n") == done.stderr.count("marlrun-report: ")
        if kind == "working directory":
            drawn = subprocess.run([*GRAPH, f"out={out / 'ring.svg'}"], check=False, **given)
            assert (drawn.returncode, drawn.stderr) == (0, "")
        shown.append(contents(out))
    assert shown[0] == shown[1]
    assert shown[0]["curves.png"].startswith(b"\x89PNG")


def test_settings_of_a_program_that_draws_itself_stay_its_own(tmp_path, run):
    import matplotlib as mpl

    assert main([str(run), "--out", str(tmp_path / "plain")]) == 0
    with mpl.rc_context({"figure.facecolor": "black", "lines.linewidth": 7.0}):
        assert main([str(run), "--out", str(tmp_path / "styled")]) == 0
        assert mpl.rcParams["lines.linewidth"] == 7.0
    assert contents(tmp_path / "plain") == contents(tmp_path / "styled")


DEEP = "[" * 200_000
LAUGHS = "\n".join(
    ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", DEEP, "run.json: nested too deeply, expected at most 64 levels"),
        ("config.yaml", DEEP, "config.yaml: nested too deeply, expected at most 64 levels"),
        ("config.yaml", LAUGHS, "config.yaml: expected at most 200000 values"),
        ("run.json", None, "run.json: expected a regular file"),
        ("config.yaml", None, "config.yaml: expected a regular file"),
        ("sweep.json", DEEP, "sweep.json: nested too deeply"),
        ("sweep.json", None, "sweep.json: expected a regular file"),
        ("metrics.jsonl", None, "metrics.jsonl: expected a regular file"),
    ],
)
def test_a_document_that_would_crash_or_hold_up_a_reader_is_noted(
    tmp_path, run, capsys, name, content, words
):
    write_run(tmp_path / "other", {7: [0.1, 0.2]}, seconds=False)
    (run / name).unlink(missing_ok=True)
    if content is None:
        os.mkfifo(run / name)
    else:
        (run / name).write_text(content)
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/report.md").read_text()
    assert words in text
    assert f"{run}/{words}" in text.replace("\\_", "_")


def test_a_line_of_metrics_that_is_nested_too_deeply_is_a_damaged_line(tmp_path, run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines[2] = f'{{"{TAG}": {DEEP}'
    (run / "metrics.jsonl").write_text("\n".join(lines))
    assert main([str(run), "--out", str(tmp_path / "out")]) == 0
    assert "metrics.jsonl (line 3 is damaged)" in (tmp_path / "out/report.md").read_text()


def test_directories_nested_more_deeply_than_python_may_call(tmp_path, run, monkeypatch):
    top = tmp_path / "deep"
    top.mkdir()
    monkeypatch.chdir(top)
    for _ in range(1500):
        Path("d").mkdir()
        os.chdir("d")
    monkeypatch.chdir(tmp_path)
    try:
        assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    finally:  # pytest could not remove them
        subprocess.run(["rm", "-rf", str(top)], check=True)


NAMES = ["../../a.b", "two\n\x1b[31mlines", "漢字", "x" * 3000]


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_metrics_of_any_name_have_figures_within_out(tmp_path, name):
    for number in (1, 2):
        keys = {"algo_keys": {name: number}}
        run = write_run(tmp_path / f"runs/{number}", {0: [0.1, 0.2], 1: [0.3, 0.4]}, **keys)
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        renamed = [json.dumps({**line, name: 1.0}) for line in lines]
        (run / "metrics.jsonl").write_text("\n".join(renamed))
    out = tmp_path / "out"
    assert main([str(tmp_path / "runs"), "--out", str(out), "--metric", f"{TAG},{name}"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}
    written = [path.name for path in out.glob("*.png")]
    assert sum(stem.startswith("hyperparameters_") for stem in written) == 1
    assert sum(re.match(r"curves_.", stem) is not None for stem in written) == 1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,120}\.png", stem) for stem in written)


def test_keys_that_are_told_apart_by_little_have_files_of_their_own(tmp_path):
    for number in (1, 2):
        keys = {"a/b": number, "a_b": 3 - number, "A_b": number, "a.b": number % 2}
        write_run(tmp_path / f"runs/{number}", {0: [0.1, 0.2]}, algo_keys=keys, seconds=False,
                  record={"argv": [f"algo.{key}=1" for key in keys]})  # fmt: skip
    out = tmp_path / "out"
    assert main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    stems = sorted(path.stem for path in out.glob("hyperparameters*.png"))
    assert stems == ["hyperparameters_" + end for end in ("A_b", "a_b_2", "a_b_3", "b")]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        *(("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("\tx", "'\tx")),
        *(("-1.5", "-1.5"), ("+2e3", "+2e3"), ("beta=1", "beta=1"), (-1.5, "-1.5"), (None, "")),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(cell, written):
    table = tables.Table("", "", ["=head", "n"], [[cell, 1]])
    assert list(csv.reader(table.csv().splitlines())) == [["'=head", "n"], [written, "1"]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dec_hdrqn beta=0.3 sizes=[64,64]", "dec_hdrqn beta=0.3 sizes=[64,64]"),
        ("a|b", r"a\|b"),
        ("`x` *y* _z_", r"\`x\` \*y\* \_z\_"),
        ("<script>", r"\<script>"),
        ("![x](http://x)", r"![x]\(http://x)"),
        ("a\nb", r"a\\nb"),
        ("a & b &lt;", r"a & b \&lt;"),
    ],
)
def test_markdown_shows_names_letter_by_letter(text, shown):
    assert tables.escaped(text) == shown


def test_a_hostile_name_is_text_everywhere(tmp_path, capsys):
    name = '<script>alert("1")</script>|`x`\x1b[31m'
    for i in range(2):
        write_run(tmp_path / f"runs/{i}", {0: [0.1]}, algo=name + str(i), record={"error": name})
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    page, text = ((tmp_path / "out" / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "<script" not in page and r"&lt;script&gt;alert(&quot;1&quot;)" in page
    assert re.search(r"(?<!\\)<script", text + said.out) is None
    assert "\x1b" not in page + text + said.out + said.err
    row = r'| target_capture | \<script>alert("1")\</script>\|\`x\`\\x1b[31m1 | 1 | 0.1 | 0.1 |'
    assert row in text and row in said.out


@pytest.mark.parametrize(
    "values", [{0: [None, None]}, {0: [0.5, 0.5]}, {0: [1e308, -1e308], 1: [1e308, 1e308]}]
)
@pytest.mark.parametrize("status", ["finished", "running"])
def test_values_that_are_hard_to_draw(tmp_path, capsys, values, status):
    for i, algo in enumerate("ab"):
        moved = {seed + i: numbers for seed, numbers in values.items()}
        write_run(tmp_path / f"runs/{algo}", moved, algo=algo, status=status)
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/curves.png").exists()
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("marlrun-report: ") for line in lines)


@pytest.mark.parametrize("gone", ["algo", "choices", "env_steps"])
def test_a_config_that_lacks_a_key(tmp_path, run, gone):
    config = read_yaml(run / "config.yaml")
    del config[gone]
    (run / "config.yaml").write_text(json.dumps(config))
    assert main([str(run), "--out", str(tmp_path / "out")]) == 0


def test_a_run_of_no_seeds(tmp_path, run, capsys):
    record = json.loads((run / "run.json").read_text()) | {"seeds": [], "results": {}}
    (run / "run.json").write_text(json.dumps(record))
    (run / "metrics.jsonl").write_text("")
    assert main([str(run), "--out", str(tmp_path / "out")]) == 2
    reason = f"Runs whose run.json does not tell their seeds: {run}"
    assert capsys.readouterr().err == (f"marlrun-report: --metric {TAG}: no run has it; {reason}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", range(16))
def test_damaged_runs_end_in_a_report_or_in_one_line(tmp_path, capsys, monkeypatch, seed):
    for i in range(3):
        kind = {"algo_keys": {"beta": i / 10}, "record": {"exact": {"optimum": 1.0}}}
        write_run(tmp_path / f"runs/{i}", {0: [0.1, 0.2], 1: [0.3, i]}, algo=f"a{i % 2}", **kind)
    name = ("run.json", "config.yaml", "metrics.jsonl")[seed % 3]
    damage(tmp_path / "runs/1" / name, seed)
    monkeypatch.chdir(tmp_path)
    signal.alarm(120)  # instead of waiting for ever
    try:
        code = main(["runs", "--out", "out"])
    finally:
        signal.alarm(0)
        (tmp_path / "runs/1").chmod(0o700)
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("marlrun-report: ") for line in said)
