"""Keeping a run's results and drawing them."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml

from marlrun.cli.main import run_command

DOCS = Path(__file__).parents[2] / "docs"
KEEP = runpy.run_path(str(DOCS / "keep_run.py"))
PLOT = runpy.run_path(str(DOCS / "plot_runs.py"))
PAIRED = runpy.run_path(str(DOCS / "paired.py"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two seeds, evaluated at 0 and 100; at 200 only one of them."""
    return write_run(tmp_path / "run", [(0, 0, 0.0), (0, 1, 0.2), (100, 0, 0.5), (100, 1, 0.7)])


def write_run(folder: Path, points: list[tuple[int, int, float]], status="finished") -> Path:
    rows = [{"env_steps": s, "seed": k, "eval/return_mean": v} for s, k, v in points]
    rows += [
        {"env_steps": 200, "seed": 0, "eval/return_mean": 9.0},
        {"env_steps": 50, "seed": 0, "loss/td": 0.1, "perf/env_steps_per_s": 1e4},
        {"env_steps": 60, "seed": 0, "perf/env_steps_per_s": 2e4, "perf/seconds": 3.0},
    ]
    info = {"status": status, "algo": "dec_hdrqn", "env": "target_capture", "seeds": [0, 1]}
    info["argv"] = ["marlrun", "algo=dec_hdrqn", "hydra.run.dir=here"]
    info["inputs"] = {"inputs/1-shown.npz": "/somewhere/else/shown.npz"}
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "config.yaml").write_text(yaml.safe_dump({"name": None}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_curve_and_its_t_interval(run: Path):
    curve = PLOT["read"](run)
    assert curve.env_steps.tolist() == [0, 100]
    assert curve.values.tolist() == [[0.0, 0.2], [0.5, 0.7]]
    # sd .1414 / sqrt 2 = .1, times t(.975, 1 degree of freedom) = 12.706
    assert curve.band() == pytest.approx([1.2706, 1.2706], abs=1e-4)


def test_one_seed_has_no_interval():
    one = PLOT["Curve"]("a", "env", np.zeros(2), np.zeros((2, 1)))
    assert np.isnan(one.band()).all()


def test_draws_a_picture(run: Path, tmp_path: Path):
    again = write_run(tmp_path / "again", [(0, 0, 0.1), (0, 1, 0.1)])
    out = tmp_path / "figure.png"
    curves = PLOT["distinct"]([PLOT["read"](run), PLOT["read"](again)], [run, again])
    assert [curve.label for curve in curves] == ["dec_hdrqn, run", "dec_hdrqn, again"]
    PLOT["main"]([str(run), str(again), "--out", str(out), "--reference", "optimum=0.9"])
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_run_without_evaluation_is_refused(tmp_path: Path):
    empty = write_run(tmp_path / "empty", [])
    with pytest.raises(SystemExit, match=r"empty: no eval/return_mean of all seeds \[0, 1\]"):
        PLOT["main"]([str(empty), "--out", str(tmp_path / "figure.png")])


def test_keeps_what_shows_results(run: Path, tmp_path: Path):
    KEEP["keep"](run, tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == [
        "config.yaml",
        "metrics.jsonl",
        "run.json",
    ]
    record = json.loads((tmp_path / "kept/run.json").read_text())
    assert record["argv"] == ["marlrun", "algo=dec_hdrqn"]
    assert record["inputs"] == {"inputs/1-shown.npz": "shown.npz"}
    assert record["perf"] == {"perf/env_steps_per_s": 1.5e4}
    text = (tmp_path / "kept/metrics.jsonl").read_text()
    assert text.count("\n") == 6
    assert "loss/td" in text
    assert "perf/" not in text
    assert PLOT["read"](tmp_path / "kept").values.tolist() == PLOT["read"](run).values.tolist()


def test_thins_training_and_never_evaluation():
    rows = [{"env_steps": s, "seed": 0, "loss/td": 0.5} for s in range(100)]
    rows += [{"env_steps": s, "seed": 0, "eval/return_mean": 0.5} for s in (0, 99)]
    lines = KEEP["slim"](rows, max_bytes=2000)
    assert sum(len(line) + 1 for line in lines) <= 2000
    assert sum("eval/" in line for line in lines) == 2
    assert sum("loss/" in line for line in lines) == 25


@pytest.mark.parametrize("status", ["running", "failed"])
def test_an_unfinished_run_is_not_kept(tmp_path: Path, status: str):
    unfinished = write_run(tmp_path / "unfinished", [], status)
    with pytest.raises(SystemExit, match=f"status is '{status}', expected a finished run"):
        KEEP["main"]([str(unfinished), "--as", "x"])


def finished(folder: Path, communication: str, seeds: list[int], values: list[float]) -> None:
    exact = {"optimum": 1.5, "selfish": 0.5}
    record = {"status": "finished", "seeds": seeds, "exact": exact}
    record["results"] = {"eval/return_mean": values}
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(record))
    config = {"algo": {"mixing": {"communication": communication}}, "env": {"num_agents": 6}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_runs_are_compared_seed_by_seed(tmp_path: Path):
    finished(tmp_path / "a", "graph", [0, 1, 2], [1.1, 1.3, 9.0])
    finished(tmp_path / "b", "central", [1, 0], [1.4, 1.0])
    runs = PAIRED["read"](tmp_path)
    ((run, other),) = PAIRED["pairs"](runs, "algo.mixing.communication", "central")
    found = PAIRED["difference"](run, other, "eval/return_mean")
    # .1 and -.1: mean 0, sd .1414 / sqrt 2 = .1, times t(.975, 1) = 12.706
    assert found[:3] == pytest.approx((0.0, -1.2706, 1.2706), abs=1e-4)
    assert PAIRED["distance"](run, "optimum-selfish") == 1.0
    assert PAIRED["distance"](run, "0.253") == 0.253 and PAIRED["distance"](run, "1e-3") == 0.001
    for scale in ("0", "-0.2", "nan", "inf", "word", "a-b-c"):
        with pytest.raises(ValueError, match=f"^--scale {scale}: expected .*number above 0$"):
            PAIRED["distance"](run, scale)
    with pytest.raises(ValueError, match="no two runs differ"):
        PAIRED["pairs"](runs[:1], "algo.mixing.communication", "central")


def test_a_checkpoint_is_kept_as_far_as_evaluation_needs_it(tmp_path: Path, monkeypatch, capsys):
    small = ["env_steps=300", "algo.rollout=20", "eval.final_episodes=2", "checkpoint.best=latest"]
    train(["algo=mappo", "env=matrix_game", *small, "hydra.run.dir=run"], tmp_path, monkeypatch)
    KEEP["keep"](Path("run"), Path("kept"))
    KEEP["keep_checkpoint"](Path("run"), Path("kept"))
    (kept,) = Path("kept/checkpoints").iterdir()
    assert kept.stat().st_size < Path("run/checkpoints", kept.name).stat().st_size
    capsys.readouterr()
    for name in ("run", "kept"):
        assert run_command(["mode=eval", f"run={name}", "episodes=20"]).error is None
    told = capsys.readouterr().out.splitlines()
    assert told[: len(told) // 2] == told[len(told) // 2 :]


def train(words, directory, monkeypatch):
    monkeypatch.chdir(directory)
    assert run_command(words).error is None
