"""`make paper1`: what it measures on held-out tasks, and that it goes on after whatever stopped it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paper1 import held_out, run
from paper2.experiments import jobs
from teachers_at_hand import teachers_of

from marlrun.config.tasks import tasks_of
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.outcome import Outcome
from marlrun.sweeps.directory import Sweep

ROOT = Path(__file__).parents[2]
GAME = {"num_agents": 2, "targets": "each", "flicker": 0.3, "slip": 0.05, "motion": [1, 0]}
GAME |= {"num_envs": 1, "horizon": 5, "discount": 0.95}
ALONE = {"_target_": "marlrun.envs.target_capture.TargetCapture"} | GAME
TASKS = {"_target_": "marlrun.envs.tasks.TargetCaptureTasks", "sizes": [2, 3]} | GAME


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """What `paper1.run` has trained, by learners that have learned nothing, and few changes to measure."""
    monkeypatch.setattr(held_out, "UNSEEN_SIZES", (4,))
    monkeypatch.setattr(held_out, "VALUES", {"flicker": (0.3, 0.5), "motion": ([1, 0], "random")})
    for name in ("distill", "baselines/0_multi_drqn", "baselines/1_multi_hdrqn"):
        teachers_of(TASKS, tmp_path / "paper1_distilled" / name)
    for number, size in enumerate((2, 3)):
        path = tmp_path / f"paper1_specialists/{number}_size={size}"
        teachers_of(ALONE | {"size": size}, path)
    return tmp_path


def evaluated(directory: Path, changes) -> dict[str, list[float]]:
    """Return what mode=eval measures."""
    settings = {"episodes": 3, "checkpoint": "best", "video": False, "seed": None, "rotate": 0}
    machine = {"device": "cpu", "threads": 1, "plugins": ()}
    return evaluate_run(directory, **settings, **machine, changes={"env": changes}).results


def test_fractions_are_those_of_mode_eval(folder):
    measures = held_out.measure(folder, episodes=3)
    assert measures == json.loads((folder / "held_out.json").read_text())
    assert len(measures["policies"]) == 6
    distilled = measures["policies"]["distilled"]["fractions"]
    assert list(distilled) == ["sizes", "flicker=0.5", "motion=random"]
    tags = evaluated(folder / "paper1_distilled/distill", {"flicker": 0.5})
    for size, values in distilled["flicker=0.5"].items():
        assert values == pytest.approx(tags[f"eval/task/size={size}/return_fraction"], rel=1e-3)
    fractions = measures["policies"][held_out.specialist(3)]["fractions"]
    assert list(fractions["sizes"]) == ["2", "3", "4"]
    assert list(fractions["flicker=0.5"]) == ["3"]
    tags = evaluated(folder / "paper1_specialists/1_size=3", {"size": 4})
    assert fractions["sizes"]["4"] == pytest.approx(tags["eval/return_fraction"], rel=1e-3)


def test_a_policy_is_measured_again_only_if_it_is_another(folder, monkeypatch):
    played = []

    def fractions_of(player, env, episodes):
        played.append(player.run.directory.name)
        return {}

    monkeypatch.setattr(held_out, "fractions_of", fractions_of)
    measures = held_out.measure(folder, episodes=3)
    assert len(played) == 6
    assert held_out.measure(folder, episodes=3) == measures
    assert len(played) == 6
    # The networks of another number of seeds are others.
    changed = folder / "paper1_distilled/baselines/0_multi_drqn"
    shutil.rmtree(changed)
    teachers_of(TASKS, changed, replicas=3)
    held_out.measure(folder, episodes=3)
    assert played[6:] == ["0_multi_drqn"]
    held_out.measure(folder, episodes=4)
    assert len(played) == 13


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_file_of_measures_is_refused(tmp_path, text):
    file = tmp_path / "held_out.json"
    assert held_out.measured_before(file, {}) == {}
    file.write_text(text)
    with pytest.raises(ValueError, match=r"held_out\.json.*; delete it, and all policies"):
        held_out.measured_before(file, {})


def test_a_part_of_another_kind_is_refused_by_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "OUTPUTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["run", "--small"])
    teachers_of(ALONE | {"size": 2}, tmp_path / "paper1_small/paper1_specialists")
    with pytest.raises(SystemExit) as end:
        run.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith("holds a run; expected another directory\n")
    with pytest.raises(
        ValueError, match=r"expected one run paper1_specialists/\*size=2, there are 0"
    ):
        held_out.only_path(tmp_path, "paper1_specialists/*size=2")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OSError(28, "No space left", "a"), 1, "[Errno 28] No space left: 'a'; the same command"),
        (ValueError("a: is\nwrong"), 2, "a: is wrong\n"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on\n"),
    ],
)
def test_what_stops_it_is_told_in_a_line(monkeypatch, capsys, error, code, line):
    def stopped(small):
        raise error

    monkeypatch.setattr(run, "run", stopped)
    monkeypatch.setattr("sys.argv", ["run"])
    with pytest.raises(SystemExit) as end:
        run.main()
    err = capsys.readouterr().err
    assert end.value.code == code and err.startswith(f"paper1: {line}") and err.count("\n") == 1


def test_tables_show_means_over_the_trained_sizes_and_specialists_on_their_own():
    def entry(first: float):
        """Return an entry of two seeds, the second .2 above the first, size 3 .1 below size 2."""
        sizes = {"2": [first, first + 0.2], "3": [first - 0.1, first + 0.1]}
        changes = [f"flicker={value}" for value in (0.0, 0.15, 0.5, 0.7)]
        changes += [f"motion={value}" for value in ([0, 1], [1, 1], "static", "random")]
        return {"fractions": {"sizes": sizes | {"7": [0.0, 0.2]}} | dict.fromkeys(changes, sizes)}

    names = ("distilled", "Multi-HDRQN", "Multi-DRQN")
    policies = {name: entry(0.5) for name in names}
    policies |= {held_out.specialist(2): entry(0.7), held_out.specialist(3): entry(0.3)}
    trained = {"sizes": [2, 3], "flicker": 0.3, "motion": [1, 0]}
    measures = {"episodes": 9, "trained": trained, "policies": policies | {"random": entry(0.1)}}
    sizes, flicker, motion = (
        table.splitlines() for table in held_out.held_out_table(measures).split("\n\n")
    )
    assert sizes[0] == "|  | 2 x 2 | 3 x 3 | **7 x 7** |"
    assert sizes[5].startswith("| specialist of 2 x 2 | 0.800 [-0.471, 2.071], 0.700 | 0.700 [")
    assert (
        flicker[0] == "| `env.flicker` | **`0.0`** | **`0.15`** | `0.3` | **`0.5`** | **`0.7`** |"
    )
    # (.7 + .3 - .1) / 2 for the first seed, .2 more for the second.
    cells = " | ".join(["0.550 [-0.721, 1.821], 0.450"] * 5)
    assert flicker[5] == motion[5] == f"| specialists, each on its own size | {cells} |"
    assert [line.split(" | ")[0] for line in flicker[2:5]] == [f"| {name}" for name in names]
    assert "9 episodes" in held_out.page(measures)


KEPT = ROOT / "docs/results/paper1/held_out.json"


def test_measures_that_are_kept_make_the_page_that_is_kept():
    page = held_out.page(json.loads(KEPT.read_text()))
    assert KEPT.with_suffix(".md").read_text() == page


def test_a_part_is_begun_or_gone_on_with_and_what_stops_it_stops_all(tmp_path, monkeypatch, capsys):
    asked = []

    def run_command(argv):
        asked.append(argv)
        return Outcome("interrupted" if "stop=1" in argv else "finished")

    monkeypatch.setattr(run, "run_command", run_command)
    joblib = "hydra/launcher=joblib"
    run.begin_or_resume(tmp_path / "one", "algo=a")
    run.begin_or_resume(tmp_path / "all", "-m", "algo=a,b")
    assert asked[0] == ["algo=a", f"hydra.run.dir={tmp_path / 'one'}"]
    assert asked[1] == ["-m", "algo=a,b", f"hydra.sweep.dir={tmp_path / 'all'}", joblib]
    # A sweep that was killed before its jobs were written down has nothing to go on with.
    Sweep(tmp_path / "all").begin(["marlrun"], ["algo"])
    run.begin_or_resume(tmp_path / "all", "-m", "algo=a,b")
    assert asked[2] == asked[1]
    state = json.loads((tmp_path / "all/sweep.json").read_text())
    job = {"number": 0, "overrides": [], "directory": "0_a", "config": {}, "status": "waiting"}
    job |= {"error": None, "results": {}, "host": None, "pid": None}
    (tmp_path / "all/sweep.json").write_text(json.dumps(state | {"jobs": [job]}))
    teachers_of(ALONE | {"size": 2}, tmp_path / "one")
    run.begin_or_resume(tmp_path / "one", "algo=a")
    run.begin_or_resume(tmp_path / "all", "-m", "algo=a,b")
    assert asked[3] == ["mode=resume", f"run={tmp_path / 'one'}"]
    assert asked[4] == ["mode=resume", f"run={tmp_path / 'all'}", joblib]
    with pytest.raises(SystemExit) as end:
        run.begin_or_resume(tmp_path / "other", "stop=1")
    assert end.value.code == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"paper1: {tmp_path}/other: interrupted; the same command goes on"
    run.distil(tmp_path, ["x=2", "x=3"], small=True)
    # As it can be pasted into a shell.
    assert """ 'algo.teachers=["x=2","x=3"]' 'env.sizes=[2,3]' """ in capsys.readouterr().err


def test_budgets_are_the_papers_and_pupils_play_what_their_teachers_were_taught():
    alone, baselines = jobs("paper1_specialists"), jobs("paper1_distilled")
    (student,) = jobs("paper1_distilled", "algo=distill")
    assert {job["env_steps"] for job in alone} == {350_000}
    assert {job["env_steps"] for job in baselines} == {500_000}
    assert (student["updates"], student["env_steps"]) == (100_000, None)
    everyone = [*alone, *baselines, student]
    assert {(job["replicas"], job["eval"]["final_episodes"]) for job in everyone} == {(5, 1000)}
    # Teachers play eight copies at a time, which changes no game.
    taught = [job["env"] | {"num_envs": 1} for job in alone]
    for pupil in (*baselines, student):
        assert list(tasks_of(pupil["env"]).values()) == taught


def started(where: Path) -> subprocess.Popen[bytes]:
    where.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "docs"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "paper1.run", "--small"]
    # A group of its own, as a terminal has one for make and all below it.
    with (where / "log").open("ab") as log:
        return subprocess.Popen(
            words, cwd=where, env=environment, stdout=log, stderr=log, process_group=0
        )


def stopped_at(where: Path, file: str, by: signal.Signals) -> int:
    """Let it go on until a file exists, then stop it; return the exit code."""
    process = started(where)
    while not any((where / "outputs/paper1_small").glob(file)):
        assert process.poll() is None, (where / "log").read_text()
        time.sleep(0.05)
    (os.kill if by == signal.SIGKILL else os.killpg)(process.pid, by)
    return process.wait(120)


@pytest.mark.slow
def test_stopped_anywhere_it_ends_with_the_same_numbers(tmp_path):
    assert started(tmp_path / "whole").wait(600) == 0, (tmp_path / "whole/log").read_text()
    cut = tmp_path / "cut"
    assert stopped_at(cut, "paper1_specialists/.lock", signal.SIGKILL) == -signal.SIGKILL
    assert stopped_at(cut, "paper1_specialists/*/run.json", signal.SIGKILL) == -signal.SIGKILL
    assert stopped_at(cut, "paper1_distilled/baselines/*/checkpoints", signal.SIGINT) == 130
    assert stopped_at(cut, "paper1_distilled/distill/run.json", signal.SIGTERM) == 130
    assert stopped_at(cut, "held_out.json", signal.SIGINT) == 130
    assert started(cut).wait(600) == 0, (cut / "log").read_text()
    results = [where / "outputs/paper1_small" for where in (tmp_path / "whole", cut)]
    for name in ("distilled.md", "held_out.md", "distilled.png"):
        whole, resumed = ((result / name).read_bytes() for result in results)
        assert whole == resumed
    assert (results[1] / "report/report.html").exists()
    # Everything is finished: it says so, and trains nothing.
    assert started(cut).wait(600) == 0
    assert (cut / "log").read_text().count("all jobs are finished, nothing to do") >= 2
