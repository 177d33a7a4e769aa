"""algo.teachers: runs that teach are kept in the run by hash, and what does not fit is refused."""

import shutil
from functools import cache
from importlib.resources import files

import pytest
import torch
import yaml
from runner.compare import assert_same_run, record, rows
from runner.fakes import config

from marlrun.runner import teachers
from marlrun.runner.checkpoint import Checkpoints
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.teacher_runs import pack
from marlrun.runner.teachers import of_replicas, open_teachers
from marlrun.runner.train import resume, train
from marlrun.types import Spec

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
CONF = files("marlrun.conf")
PERIODS = {"eval": {"every": 20, "episodes": 5, "final_episodes": 5}}
SMALL = {"sizes": [8, 8, 8, 8], "batch": 4, "collect": 4, "episodes": 8, "collect_every": 7}
SPEC = Spec(2, ("agent_0", "agent_1"), (4, 4), (5, 5), horizon=6, discount=0.95)


@cache
def stored(path):
    return yaml.safe_load((CONF / path).read_text())


def game(**changes):
    return stored("env/target_capture.yaml") | {"size": 2, "horizon": 6} | changes


def specialist(directory, algo="dec_hdrqn", env=None, env_steps=0, **changes):
    """Train a run that can teach, by default one that learns nothing."""
    node = stored(f"algo/{algo}.yaml")
    node |= {"sizes": [4, 4, 4, 4]} if "sizes" in node else {}
    job = config(algo=node, env=env or game(), env_steps=env_steps, **PERIODS, **changes)
    assert train(job, directory, []).status == "finished"
    return directory


def job(*teachers, updates=40, **changes):
    """Return a job of distillation in the game of `specialist`; `algo__lr=1` changes a nested key."""
    node = stored("algo/distill.yaml") | SMALL | {"teachers": [str(path) for path in teachers]}
    budgets = {"env_steps": None, "updates": updates}
    settings = {"algo": node, "env": game(), **budgets, **PERIODS} | changes
    return config(**settings)


def refusal(tmp_path, *teachers, **changes):
    with pytest.raises(ValueError) as refused:
        train(job(*teachers, **changes), tmp_path / "refused", [])
    assert not (tmp_path / "refused").exists() and "\n" not in str(refused.value)
    return str(refused.value).replace(str(tmp_path), "")


@pytest.fixture
def source(tmp_path):
    return specialist(tmp_path / "source")


def test_students_are_the_same_without_the_teachers_run(source, tmp_path, capsys):
    train(job(source), tmp_path / "whole", [])
    assert f"teacher {source}/checkpoints/best.pt: env step 0" in capsys.readouterr().err
    train(job(source, updates=23), tmp_path / "parts", [])
    shutil.rmtree(source)
    assert resume(tmp_path / "parts", None, [], updates=40).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    (path,) = yaml.safe_load((tmp_path / "parts/config.yaml").read_text())["algo"]["teachers"]
    kept = tmp_path / "parts" / path
    assert kept.parent.name == "inputs" and kept.name.endswith("-source")
    assert record(tmp_path / "parts")["inputs"] == {path: str(source)}
    measured = evaluate_run(
        tmp_path / "parts",
        episodes=3,
        checkpoint="best",
        video=False,
        seed=None,
        device="cpu",
        threads=1,
        plugins=[],
    )
    assert len(measured.results["eval/return_mean"]) == 2
    assert "eval/anticipated_mean" not in measured.results
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(
        ValueError, match=r"^algo\.teachers\[0\]=.*: was changed, expected a conten"
    ):
        resume(tmp_path / "parts", None, [], updates=50)


def test_a_replica_alone_learns_as_in_company(source, tmp_path):
    train(job(source), tmp_path / "company", [])
    alone = of_replicas({"teachers": [pack(str(source), [])]}, [1])
    (file,) = alone["teachers"]
    (one,), (two,) = (
        open_teachers({"teachers": [teacher]}, SPEC, seeds, CPU)
        for teacher, seeds in ((file, [4]), (pack(str(source), []), [3, 4]))
    )
    assert torch.equal(one.rows, two.rows[2:])
    specialist(tmp_path / "second", seed=4, replicas=1)
    train(job(tmp_path / "second", seed=4, replicas=1), tmp_path / "alone", [])
    company = [row for row in rows(tmp_path / "company") if row["seed"] == 4]
    assert company == rows(tmp_path / "alone")


def test_what_is_kept_of_a_run_depends_on_its_content_alone(source, tmp_path):
    first = pack(str(source), [])
    assert pack(str(source), []).digest == first.digest
    source.rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere/source")
    assert pack(str(tmp_path / "elsewhere/source"), []).digest == first.digest


def test_the_best_checkpoint_teaches_unless_another_is_named(tmp_path):
    source = specialist(tmp_path / "source", env_steps=400)
    files_of = {name: source / "checkpoints" / f"{name}.pt" for name in ("best", "step_400")}
    networks = {}
    for name, path in files_of.items():
        rows_of = torch.load(path, weights_only=True)["learner"]["online"]
        (teacher,) = open_teachers({"teachers": [pack(str(path), [])]}, SPEC, [3, 4], CPU)
        assert torch.equal(teacher.rows, rows_of)
        networks[name] = teacher.rows
    (teacher,) = open_teachers({"teachers": [pack(str(source), [])]}, SPEC, [3, 4], CPU)
    assert torch.equal(teacher.rows, networks["best"])


def test_a_student_can_teach(source, tmp_path):
    train(job(source, updates=3), tmp_path / "student", [])
    train(job(tmp_path / "student", updates=3), tmp_path / "pupil", [])
    assert record(tmp_path / "pupil")["status"] == "finished"


def test_a_game_that_the_teacher_does_not_know_is_told(source, tmp_path, capsys):
    train(job(source, updates=0), tmp_path / "same", [])
    assert "elsewhere" not in capsys.readouterr().err
    train(job(source, updates=0, env=game(flicker=0.5, size=3)), tmp_path / "other", [])
    assert (
        f"marlrun: algo.teachers[0]={source}: elsewhere: env.size=3 (trained with 2), "
        "env.flicker=0.5 (trained with 0.0)\n"
    ) in capsys.readouterr().err


def many(*sizes):
    return stored("env/target_capture_tasks.yaml") | {
        "sizes": list(sizes),
        "targets": "one",
        "flicker": 0.0,
        "horizon": 6,
    }


def test_one_teacher_for_each_task(source, tmp_path, capsys):
    three = specialist(tmp_path / "three", env=game(size=3))
    train(job(source, three, env=many(2, 3)), tmp_path / "student", [])
    assert "elsewhere" not in capsys.readouterr().err
    results = record(tmp_path / "student")["results"]
    assert {"eval/task/size=2/return_mean", "eval/task/size=3/return_mean"} <= results.keys()
    train(job(three, source, env=many(2, 3), updates=0), tmp_path / "mistaken", [])
    told = [line for line in capsys.readouterr().err.splitlines() if "elsewhere" in line]
    assert told == [
        f"marlrun: algo.teachers[0]={three}: elsewhere: env.size=2 (trained with 3)",
        f"marlrun: algo.teachers[1]={source}: elsewhere: env.size=3 (trained with 2)",
    ]
    assert refusal(tmp_path, source, env=many(2, 3)) == (
        "algo.teachers=[/source]: expected 2 finished runs, one for each task in this order: "
        "size=2, size=3"
    )


def test_runs_that_cannot_teach_are_refused_in_one_line(source, tmp_path):
    where = "algo.teachers[0]="
    assert refusal(tmp_path, tmp_path / "no") == f"{where}/no: no such directory"
    (tmp_path / "empty").mkdir()
    expected = (
        "expected a run directory (of a sweep, one of its jobs'), this one has no config.yaml"
    )
    assert refusal(tmp_path, tmp_path / "empty") == f"{where}/empty: {expected}"
    random = specialist(tmp_path / "random", "random")
    assert refusal(tmp_path, random) == (
        f"{where}/random: algo marlrun.algos.random.Random has no recurrent Q-network for each agent, "
        "expected a run of one that has, such as dec_hdrqn"
    )
    missing = source / "checkpoints/step_7.pt"
    assert "no such checkpoint" in refusal(tmp_path, missing)


def test_an_unfinished_run_teaches_only_by_a_checkpoint_that_is_named(source, tmp_path):
    path = source / "run.json"
    path.write_text(path.read_text().replace('"finished"', '"interrupted"', 1))
    assert refusal(tmp_path, source, plugins=[]) == (
        "algo.teachers[0]=/source: the run is not finished (interrupted), go on with it by marlrun "
        "mode=resume run=/source, or name one of its checkpoints, /source/checkpoints/FILE.pt"
    )
    path.unlink()
    assert "not finished (running)" in refusal(tmp_path, source)
    train(job(source / "checkpoints/step_0.pt", updates=3), tmp_path / "student", [])


def test_teachers_that_do_not_fit_are_refused_in_one_line(source, tmp_path):
    assert refusal(tmp_path) == (
        "algo.teachers=[]: expected one finished run, for the game is one task"
    )
    assert refusal(tmp_path, source, source).startswith(
        "algo.teachers=[/source, /source]: expected one finished run, for the game is one task"
    )
    assert refusal(tmp_path, source, replicas=3) == (
        "replicas=3: expected 2, for replica r learns from replica r of its teachers, and "
        "algo.teachers[0]=/source has 2"
    )
    assert refusal(tmp_path, source, env=game(targets="each")) == (
        "algo.teachers[0]=/source: the game has observations of size 6, "
        "the teacher was trained with 4"
    )
    assert refusal(tmp_path, source, env=game(num_agents=3)) == (
        "algo.teachers[0]=/source: the game has the agents agent_0, agent_1, agent_2, "
        "the teacher was trained with agent_0, agent_1"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algo__temperature": 0.0}, "algo.temperature=0.0: expected float (0, inf)"),
        ({"algo__loss": "l1"}, "algo.loss=l1: expected kl | mse | nll"),
        ({"algo__teachers": "x"}, "algo.teachers=x: expected list of path"),
        ({"algo__teachers": [3]}, "algo.teachers=[3]: expected list of path"),
        ({"algo__collect": 3}, "algo.collect=3: expected at least algo.batch=4"),
        ({"algo__episodes": 10**12}, "algo.episodes=1000000000000 replicas=2: this takes about"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(source, tmp_path, changes, words):
    assert refusal(tmp_path, source, **changes).startswith(words)


def test_networks_that_could_not_be_read_again_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "LARGEST", 1000)
    line = refusal(tmp_path, source)
    assert line.startswith("algo.teachers[0]=/source: its networks take ")
    assert line.endswith(" bytes, expected at most 1000")


def test_damaged_files_are_refused_in_one_line(source, tmp_path):
    train(job(source, updates=3), tmp_path / "student", [])
    checkpoints = Checkpoints(source)
    best = checkpoints.named("best")
    best.write_bytes(best.read_bytes()[:-100])
    assert refusal(tmp_path, source).startswith(
        "algo.teachers[0]=/source: /source/checkpoints/best.pt is damaged or no checkpoint"
    )
