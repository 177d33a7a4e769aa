"""The file of a graph is kept in the run's directory: what happens to the original changes nothing."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from graphs.graphs_at_hand import node
from graphs.test_graph_runs import PLUGINS, job
from runner.compare import assert_same_run, hyperparameters, record
from runner.test_damage import contents, evaluate

from marlrun.report.data.notes import Notes
from marlrun.report.data.read import read_run
from marlrun.runner.train import resume, train

MIXING, SLOW = "0.5,0.5\n0.5,0.5\n", "0.99,0.01\n0.01,0.99\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty directory to work in, with a matrix in a file."""
    monkeypatch.chdir(tmp_path)
    Path("c.csv").write_text(SLOW)
    return tmp_path


def begin(directory, env_steps=120, file="c.csv", **changes):
    graph = node("from_file", weights="from_file", file=str(file))
    chosen = {"graph": graph, "choices": {"graph": "from_file"}, "env_steps": env_steps}
    return train(job(**chosen, **changes), Path(directory), [])


def stored(content: str, name: str = "c.csv") -> str:
    return f"inputs/{sha256(content.encode()).hexdigest()[:12]}-{name}"


def file_in(directory) -> str:
    return yaml.safe_load((Path(directory) / "config.yaml").read_text())["graph"]["file"]


def interrupted(directory):
    """Make a finished run one that was interrupted."""
    path = Path(directory) / "run.json"
    path.write_text(json.dumps(record(Path(directory)) | {"status": "interrupted"}))


def rewritten(directory, file):
    """Let the configuration of a run name another file."""
    path = Path(directory) / "config.yaml"
    path.write_text(path.read_text().replace(file_in(directory), str(file)))


def refusal(call, *args, **keys) -> str:
    with pytest.raises(ValueError) as caught:
        call(*args, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_original_may_be_edited(place):
    begin("whole")
    begin("parts", 66)
    Path("c.csv").write_text(MIXING)
    assert resume(Path("parts"), 120, PLUGINS).status == "finished"
    assert_same_run(place / "whole", place / "parts")
    begin("other")
    assert record(place / "other")["results"] != record(place / "whole")["results"]


def test_a_run_can_be_moved_and_the_original_deleted(place, monkeypatch):
    begin("run", 66)
    Path("c.csv").unlink()
    (place / "elsewhere").mkdir()
    Path("run").rename("elsewhere/moved")
    monkeypatch.chdir(place / "elsewhere")
    before = evaluate(Path("moved"), plugins=PLUGINS).results
    assert resume(Path("moved"), 120, PLUGINS).status == "finished"
    assert evaluate(place / "elsewhere/moved", plugins=PLUGINS).results != before


def test_the_copy_is_named_by_its_content(place):
    begin("run")
    assert (
        file_in("run") == stored(SLOW) == f"inputs/{sha256(SLOW.encode()).hexdigest()[:12]}-c.csv"
    )
    assert (place / "run" / stored(SLOW)).read_text() == SLOW
    assert record(place / "run")["inputs"] == {stored(SLOW): "c.csv"}
    assert hyperparameters(place / "run/tb/seed_3")["graph.file"] == stored(SLOW)


def test_runs_without_files_keep_none(tmp_path):
    train(job(), tmp_path, [])
    assert record(tmp_path)["inputs"] == {} and not (tmp_path / "inputs").exists()


@pytest.mark.parametrize(
    ("name", "kept"),
    [("a b\u2028ü.csv", "a-b-.csv"), ("x" * 200 + ".csv", "x" * 96 + ".csv"), ("-.csv", "-.csv")],
)
def test_any_name_can_be_kept(place, name, kept):
    Path(name).write_text(SLOW)
    begin("run", 40, file=name)
    assert file_in("run") == stored(SLOW, kept)
    assert resume(Path("run"), 80, PLUGINS).status == "finished"


def test_a_copy_given_as_the_file_keeps_its_name(place):
    begin("run", 40)
    begin("again", 40, file=f"run/{stored(SLOW)}")
    assert file_in("again") == file_in("run")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda copy: copy.write_text(MIXING), "was changed, expected a content of hash {digest}"),
        (lambda copy: copy.unlink(), "no such file"),
        (lambda copy: (copy.unlink(), copy.mkdir()), "expected a file: Is a directory"),
    ],
)
@pytest.mark.parametrize("call", [evaluate, lambda run, plugins: resume(run, 120, plugins)])
def test_a_damaged_copy_is_refused(place, damage, expected, call):
    begin("run", 40)
    copy = Path("run") / stored(SLOW)
    damage(copy)
    before = contents(place / "run")
    expected = expected.format(digest=sha256(SLOW.encode()).hexdigest()[:12])
    assert refusal(call, Path("run"), plugins=PLUGINS) == f"graph.file={copy}: {expected}"
    assert contents(place / "run") == before


@pytest.mark.parametrize("name", ["inputs", stored(SLOW)])
def test_links_are_not_followed(place, name):
    begin("run", 40)
    link, target = Path("run") / name, place / "outside"
    link.rename(target)
    link.symlink_to(target)
    for call in (evaluate, lambda run, plugins: resume(run, 120, plugins)):
        assert refusal(call, Path("run"), plugins=PLUGINS).startswith(f"{link} is a link: ")
    assert (
        begin("other", 40, file=Path("run") / stored(SLOW)).status == "finished"
    )  # what was typed may be a link


def test_copies_are_not_written_through_links(place):
    Path("run").mkdir()
    (place / "outside").mkdir()
    Path("run/inputs").symlink_to(place / "outside")
    assert refusal(begin, "run").startswith("run/inputs is a link: ")
    assert [path.name for path in (place / "run").iterdir()] == ["inputs"]
    assert not list((place / "outside").iterdir())


@pytest.mark.parametrize(
    "file",
    [
        "{place}/c.csv",
        "../c.csv",
        "inputs/../../c.csv",
        "inputs/c.csv",
        "c.csv",
        "inputs/{digest}-",
    ],
)
def test_a_strangers_configuration_reads_nothing_outside(place, file):
    begin("run", 40)
    digest = sha256(SLOW.encode()).hexdigest()[:12]
    rewritten("run", file := file.format(place=place, digest=digest))
    for call in (evaluate, lambda run, plugins: resume(run, 120, plugins)):
        line = refusal(call, Path("run"), plugins=PLUGINS)
        assert line.startswith(f"graph.file={file}: expected a file kept in run/inputs;")


def test_runs_of_older_versions_read_the_original_and_say_so(place, capsys):
    begin("run", 66)
    rewritten("run", "c.csv")
    shutil.rmtree("run/inputs")
    told = record(place / "run")
    del told["inputs"]
    Path("run/run.json").write_text(json.dumps(told))
    capsys.readouterr()
    assert evaluate(Path("run"), plugins=PLUGINS).status == "finished"
    reason = "the version that began run kept no copy, it is read as it is now"
    assert f"marlrun: graph.file=c.csv: {reason}\n" in capsys.readouterr().err
    assert resume(Path("run"), 120, PLUGINS).status == "finished"
    Path("c.csv").unlink()
    line = refusal(evaluate, Path("run"), plugins=PLUGINS)
    assert line == "graph.file=c.csv: no such file"


def test_the_same_job_goes_on_and_another_graph_is_another_job(place):
    begin("run")
    interrupted("run")
    shutil.copy("c.csv", "run/c.csv")
    assert begin("run", file=place / "run/c.csv").status == "finished"
    assert len(record(place / "run")["resumed"]) == 1
    interrupted("run")
    Path("c.csv").write_text(MIXING)
    before = contents(place / "run")
    line = refusal(begin, "run")
    assert line.startswith("run holds a run already (interrupted, another job: graph.file=inputs/")
    assert line.endswith("): mode=resume goes on with it")
    assert contents(place / "run") == before


def test_a_refused_start_leaves_nothing(place):
    Path("c.csv").write_text("0.5,0.4\n0.5,0.5\n")
    assert "not row-stochastic" in refusal(begin, "run")
    Path("ready").mkdir()
    assert "not row-stochastic" in refusal(begin, "ready")
    assert not Path("run").exists() and not list(Path("ready").iterdir())


def too_large(path):
    with path.open("wb") as file:
        file.truncate(2**28 + 1)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (os.mkfifo, "expected a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "expected a regular file"),
        (lambda path: path.mkdir(), "expected a file: Is a directory"),
        (too_large, "268435457 bytes, expected at most 268435456"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_no_file_of_a_graph_is_refused(place, make, expected):
    make(Path("g.csv"))
    assert refusal(begin, "run", file="g.csv") == f"graph.file=g.csv: {expected}"
    assert not Path("run").exists()


def test_reports_tell_runs_apart_by_content(place):
    begin("run", 40)
    Path("elsewhere").mkdir()
    Path("elsewhere/c.csv").write_text(SLOW)
    begin("same", 40, file="elsewhere/c.csv")
    Path("c.csv").write_text(MIXING)
    begin("other", 40)
    names = ["run", "same", "other"]
    trials = [read_run(Path(name), "eval/return_mean", Notes())[0] for name in names]
    run, same, other = (trial.run.settings["graph.file"] for trial in trials)
    assert run == same == stored(SLOW) and other == stored(MIXING)
