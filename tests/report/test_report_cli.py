"""marlrun-report from end to end."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from report.fakes import TAG, write_run

from marlrun.report.cli import main

EXACT = {"exact": {"optimum": 1.0, "random": 0.1}}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two algorithms on two sizes, three seeds each; one job unfinished, one with a NaN."""
    top = tmp_path_factory.mktemp("top")
    for algo in ("dec_drqn", "dec_hdrqn"):
        for size in (3, 4):
            values = {seed: [0.1, 0.4 + 0.1 * seed, 0.1 * size + 0.1 * seed] for seed in range(3)}
            paper = [{"algo": "dec_hdrqn", TAG: 0.55}]
            kind = {"algo": algo, "env_keys": {"size": size}, "root": {"paper": paper}}
            write_run(top / f"sweep/{algo}{size}", values, record=EXACT, **kind)
    half = {0: [0.1, None, 0.3], 1: [0.1, 0.2]}
    write_run(top / "sweep/late", half, algo="slow", env_keys={"size": 3}, status="running")
    return top / "sweep"


@pytest.fixture(scope="module")
def report(sweep: Path) -> Path:
    """The report on it."""
    out = sweep.parent / "out"
    assert main([str(sweep), "--out", str(out)]) == 0
    return out


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_writes_everything(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main([str(sweep), "--out", str(out)]) == 0
    written = {path.name for path in out.iterdir()}
    figures = ["curves", "wall_time", "profile", "improvement", "hyperparameters_size"]
    assert written == {
        *(f"{figure}.{kind}" for figure in figures for kind in ("png", "svg")),
        *("report.html", "report.md", "marl_eval.json"),
        *("results.csv", "seeds.csv", "curves.csv", "improvement.csv"),
    }
    shown = capsys.readouterr()
    assert "| target_capture size=3 | dec_hdrqn | 3 |" in shown.out
    assert f"report: {out / 'report.html'}" in shown.out
    assert "marlrun-report: Runs not finished" in shown.err


def test_the_page_needs_nothing_else_and_tells_what_is_missing(report: Path):
    page = (report / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert not re.search(r"@import|url\(|<script|<link", page)
    assert "prefers-color-scheme: dark" in page
    for text in (page, (report / "report.md").read_text()):
        assert "late (running, 200 of 200 steps)" in text
        assert "late seed 0 (1 of 3 values, the first at step 100)" in text
        assert "Groups without a final eval/return_mean" in text


def test_tables_as_csv(report: Path):
    rows = table(report / "results.csv")
    row = next(r for r in rows if r["task"].endswith("size=3") and r["algorithm"] == "dec_hdrqn")
    assert float(row["mean"]) == pytest.approx(0.4)
    assert float(row["IQM low"]) <= float(row["IQM"]) <= float(row["IQM high"])
    assert (row["seeds"], float(row["paper"])) == ("3", 0.55)
    seeds = table(report / "seeds.csv")
    assert len(seeds) == 4 * 3 + 2
    assert {"env.size", "seed", "status", "result", "run"} <= seeds[0].keys()
    curves = table(report / "curves.csv")
    assert [r["seeds"] for r in curves if r["algorithm"] == "slow"] == ["2", "2", "1"]


def test_marl_eval_format(report: Path):
    found = json.loads((report / "marl_eval.json").read_text())
    task = found["target_capture"]["target_capture size=3"]
    assert task.keys() == {"dec_drqn", "dec_hdrqn"}
    assert task["dec_hdrqn"]["seed_1"] == {
        "step_0": {"step_count": 0, "return": [0.1]},
        "step_1": {"step_count": 100, "return": [0.5]},
        "step_2": {"step_count": 200, "return": [pytest.approx(0.4)]},
        "absolute_metrics": {"return": [pytest.approx(0.4)]},
    }


def test_the_same_runs_give_the_same_bytes(sweep: Path, report: Path, tmp_path: Path):
    main([str(sweep), "--out", str(tmp_path)])
    for path in report.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_a_second_report_leaves_no_stale_figure(sweep: Path, tmp_path: Path):
    for stale in ("improvement.png", "curves_3.svg"):
        (tmp_path / stale).touch()
    (tmp_path / "mine.png").touch()
    main([str(sweep / "dec_drqn3"), "--out", str(tmp_path)])
    assert {path.name for path in tmp_path.glob("*.png")} == {
        *("curves.png", "wall_time.png", "profile.png", "mine.png")
    }
    assert not (tmp_path / "curves_3.svg").exists()


def test_pages_and_caps_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("marlrun.report.render.plots.PANELS", 1)
    monkeypatch.setattr("marlrun.report.render.plots.PAGES", 2)
    for i in range(9):
        write_run(tmp_path / f"algos/{i}", {0: [0.1, i / 20]}, algo=f"a{i}", seconds=False)
    for i in range(3):
        kind = {"env_keys": {"game": f"g{i}"}, "seconds": False}
        write_run(tmp_path / f"games/{i}", {0: [0.1, i / 20]}, **kind)
    out = tmp_path / "out"
    assert main([str(tmp_path / "algos"), "--out", str(out)]) == 0
    assert "Figures show the 8 best of 9" in (out / "report.md").read_text()
    assert "figure of pairs shows a8 against others" in (out / "report.md").read_text()
    assert main([str(tmp_path / "games"), "--out", str(out)]) == 0
    assert "Figures curves show the first 2 of 3 panels" in (out / "report.md").read_text()
    assert (out / "curves_2.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "nowhere: no such directory"),
        (["empty"], 2, "empty: no run found, expected run.json in or below it"),
        ([], 2, "required: DIR; see marlrun-report --help"),
        (
            ["sweep", "--by", "env.sizes"],
            2,
            "--by env.sizes: no run has this key; did you mean env",
        ),
        (["sweep", "--metric", "eval/x"], 2, "--metric eval/x: no run has it"),
        (["sweep", "--metric", " ,"], 2, "--metric ,: expected TAG,.."),
        (["sweep", "--out", "file"], 1, "file: Not a directory"),
        (["sweep", "--out", "file/below"], 1, "file/below: Not a directory"),
    ],
)
def test_mistakes_are_one_line(sweep: Path, capsys, monkeypatch, arguments, code, words):
    monkeypatch.chdir(sweep.parent)
    Path("empty").mkdir(exist_ok=True)
    Path("file").touch()
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("marlrun-report: ")
    assert error.count("\n") == 1
    assert words in error


def test_an_output_that_cannot_be_is_told_before_any_run_is_read(
    tmp_path: Path, monkeypatch, capsys
):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("marlrun.report.cli.study", never)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main([str(tmp_path), "--out", str(tmp_path / "no/such/out")]) == 1
    assert capsys.readouterr().err == f"marlrun-report: {tmp_path}: Permission denied\n"
    assert not (tmp_path / "no").exists()


def test_of_many_hyperparameters_the_first_have_figures(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("marlrun.report.render.plots.KEYS", 1)
    for i in (1, 2):
        keys = {"cost": i, "size": i}
        typed = {"argv": ["algo.cost=1", "algo.size=1"]}
        write_run(tmp_path / f"runs/{i}", {0: [0.1, 0.2]}, algo_keys=keys, record=typed)
    out = tmp_path / "out"
    assert main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert [path.name for path in out.glob("hyper*.png")] == ["hyperparameters_cost.png"]
    assert "The first 1 of 2 hyperparameters have a figure" in (out / "report.md").read_text()


def test_several_metrics_have_figures_of_their_own_and_one_over_what_was_varied(tmp_path: Path):
    for cost in (1, 2):  # the name is no formula
        algo = {"algo": "a$b_{$c$", "algo_keys": {"cost": cost}}
        write_run(tmp_path / f"runs/{cost}", {0: [0.1, 0.2], 1: [0.3, 0.4]}, seconds=False, **algo)
    out = tmp_path / "out"
    assert main([str(tmp_path / "runs"), "--out", str(out), "--metric", f"{TAG}, loss/td"]) == 0
    assert {path.stem for path in out.glob("*.png")} == {
        *("curves", "curves_loss_td", "profile", "improvement", "hyperparameters_cost")
    }
    assert {row["metric"] for row in table(out / "curves.csv")} == {TAG, "loss/td"}
    assert "Learning curves of loss/td" in (out / "report.md").read_text()


def test_a_read_only_output(sweep: Path, tmp_path: Path, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "out/curves.png")

    monkeypatch.setattr("marlrun.report.render.write.write_atomically", refuse)
    assert main([str(sweep), "--out", str(tmp_path / "out")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "marlrun-report: out/curves.png: Permission denied"


def test_one_run_of_one_seed_and_one_point(tmp_path: Path):
    write_run(tmp_path / "run", {0: [0.5]})
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0


def test_all_runs_unfinished(tmp_path: Path):
    write_run(tmp_path / "run", {0: [0.5, None]}, status="interrupted", seconds=False)
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    assert "Final results that are not numbers" in (tmp_path / "out/report.md").read_text()


def test_the_command_starts_without_the_engine():
    code = (
        "import sys, marlrun.report.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as done: assert done.code == 0\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'tensorboard', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "marlrun-report outputs/" in done.stdout
