"""Run directories that were damaged, or that a stranger made: refused whole, or mended and said."""

import json
import os
import re
import shutil
import zipfile

import pytest
import torch
from runner.compare import assert_same_board, assert_same_run, record, rows
from runner.fakes import config
from runner.test_train import PLUGINS, best_step, interrupt

from marlrun.runner import documents, train
from marlrun.runner.checkpoint import load
from marlrun.runner.evaluate import evaluate_run


def contents(directory):
    """Return all files below a directory with their bytes, links as where they lead."""
    return {
        path.relative_to(directory): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def evaluate(directory, **changes):
    settings = {
        "episodes": 4,
        "checkpoint": "best",
        "video": False,
        "seed": None,
        "device": "cpu",
        "threads": 1,
        "plugins": PLUGINS,
    }
    return evaluate_run(directory, **settings | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    train.train(config(), directory, [])
    return directory


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cut_off")
    interrupt(directory, 47)
    evaluate(directory, video=True)
    (directory / "marlrun.log").write_text("an earlier traceback\n")
    return directory


@pytest.fixture
def cut(tmp_path, cut_off):
    """A run, interrupted at env step 94, with a file of every kind that a run writes."""
    return shutil.copytree(cut_off, tmp_path / "cut")


def refused(directory, match, **changes):
    """Expect a refusal that changes nothing; return its line."""
    before = contents(directory)
    with pytest.raises(ValueError, match=match) as refusal:
        train.resume(directory, changes.get("env_steps"), PLUGINS)
    assert contents(directory) == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def everything(directory):
    return sorted(path.relative_to(directory) for path in directory.rglob("*"))


def test_nothing_is_written_through_a_link_whatever_is_one(cut, tmp_path):
    assert {path.parts[0] for path in everything(cut)} == {*documents.WRITTEN} - {"inputs"}
    for name in everything(cut):
        path, outside = cut / name, tmp_path / "outside"
        path.rename(outside)
        path.symlink_to(outside)
        before = contents(outside) if outside.is_dir() else outside.read_bytes()
        refused(cut, f"{re.escape(str(path))} is a link: nothing is written through links")
        with pytest.raises(ValueError, match="is a link"):
            train.train(config(), cut, [])
        with pytest.raises(ValueError, match="is a link"):
            evaluate(cut, video=True)
        assert before == (contents(outside) if outside.is_dir() else outside.read_bytes())
        path.unlink()
        outside.rename(path)


def test_the_run_itself_may_be_reached_by_a_link(cut, tmp_path, whole):
    (tmp_path / "latest").symlink_to(cut)
    assert train.resume(tmp_path / "latest", None, PLUGINS).status == "finished"
    assert_same_run(whole, cut)


def test_a_log_with_a_second_name_leaves_what_that_name_holds(cut, tmp_path, whole):
    os.link(cut / "metrics.jsonl", tmp_path / "mine")
    before = (tmp_path / "mine").read_bytes()
    train.resume(cut, None, PLUGINS)
    assert (tmp_path / "mine").read_bytes() == before
    assert_same_run(whole, cut)


def test_a_backup_by_hard_links_takes_no_lock_away(cut, tmp_path):
    with documents.locked(cut):
        os.link(cut / "metrics.jsonl", tmp_path / "backup")
        with pytest.raises(ValueError, match="another process is training this run"):
            train.resume(cut, None, PLUGINS)
        # The copy that a run makes of a log with another name is locked as well.
    with documents.locked(cut):
        assert (cut / "metrics.jsonl").stat().st_nlink == 1
        with pytest.raises(ValueError, match="another process is training this run"):
            train.resume(cut, None, PLUGINS)


@pytest.mark.parametrize("env_steps", [None, 500])
def test_a_run_without_checkpoints_is_not_emptied(cut, env_steps):
    shutil.rmtree(cut / "checkpoints")
    refused(cut, "was trained and has no checkpoint to go on from: put", env_steps=env_steps)


def test_a_finished_run_without_checkpoints_is_not_emptied(tmp_path, whole):
    directory = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(directory / "checkpoints")
    refused(directory, "was trained and has no checkpoint to go on from", env_steps=500)
    before = contents(directory)
    assert train.resume(directory, None, PLUGINS).status == "finished"
    assert contents(directory) == before
    (directory / "metrics.jsonl").unlink()
    refused(directory, "was trained and has no checkpoint to go on from", env_steps=500)


DAMAGES = {
    "a line that is none": lambda lines: [*lines[:2], b"garbage\n", *lines[2:]],
    "Windows' line ends": lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
    "half a line": lambda lines: [*lines[:2], lines[2][: len(lines[2]) // 2], *lines[3:]],
    "another shape": lambda lines: [*lines[:2], b"[" + lines[2][:-1] + b"]\n", *lines[3:]],
    "another seed": lambda lines: [
        *lines[:2],
        lines[2].replace(b'"seed": 3', b'"seed": 9'),
        *lines[3:],
    ],
    "a step that is none": lambda lines: [
        *lines[:2],
        lines[2].replace(b'"env_steps": 2', b'"env_steps": 0.'),
        *lines[3:],
    ],
    "not a number": lambda lines: [*lines[:2], lines[2][:-2] + b', "a": NaN}\n', *lines[3:]],
    "a deep line": lambda lines: [*lines[:2], b"[" * 100_000 + b"\n", *lines[2:]],
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_log_is_named_with_its_line(cut, kind):
    path = cut / "metrics.jsonl"
    path.write_bytes(b"".join(DAMAGES[kind](path.read_bytes().splitlines(keepends=True))))
    number = 1 if kind == "Windows' line ends" else 3
    line = refused(cut, f"{re.escape(str(path))}: line {number} is damaged; put the whole file")
    assert line.endswith("mode=eval measures the run as it is")
    assert evaluate(cut).status == "finished"


@pytest.mark.parametrize("key", ["status", "env_steps", "results", "resumed"])
def test_a_record_with_a_value_of_another_kind_is_refused(cut, key):
    told = record(cut)
    (cut / "run.json").write_text(json.dumps(told | {key: None}))
    line = refused(cut, f"run.json: {key} None: expected")
    assert line.endswith("delete it, and mode=resume goes on from the newest checkpoint")


def test_a_log_with_a_line_less_or_none_at_all_is_refused(cut):
    path = cut / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    refused(cut, "metrics.jsonl is shorter than its checkpoint says")
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    refused(cut, "metrics.jsonl: line 3 is damaged")
    path.unlink()
    refused(cut, "metrics.jsonl is shorter than its checkpoint says")


def test_what_was_logged_after_the_checkpoint_may_be_anything(cut, whole):
    with (cut / "metrics.jsonl").open("ab") as file:
        file.write(b'{"env_steps": 100, "seed": 3, "a"')
    train.resume(cut, None, PLUGINS)
    assert_same_run(whole, cut)


def event_files(directory):
    return [path for path in (directory / "tb").rglob("*") if path.is_file()]


def flip_bytes(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def test_tensorboard_that_was_lost_or_damaged_is_written_anew(cut_off, tmp_path, whole, capsys):
    curves = [path for path in event_files(cut_off) if not path.name.endswith("000000")]
    assert len(curves) == 4  # a seed's, another's, the mean's, the video's
    for number, path in enumerate(curves):
        for kind, damage in {"lost": lambda path: path.unlink(), "flipped": flip_bytes}.items():
            directory = shutil.copytree(cut_off, tmp_path / f"{number}_{kind}")
            damage(directory / path.relative_to(cut_off))
            capsys.readouterr()
            train.resume(directory, None, PLUGINS)
            has_rows = path.name.endswith("000001")  # 000002 is the video's
            is_told = "lacks rows of metrics.jsonl: written anew" in capsys.readouterr().err
            assert is_told == has_rows
            assert_same_board(whole, directory)
    directory = shutil.copytree(cut_off, tmp_path / "all")
    shutil.rmtree(directory / "tb")
    train.resume(directory, None, PLUGINS)
    assert_same_board(whole, directory)


def test_a_run_that_is_extended_and_killed_is_not_called_finished(tmp_path, monkeypatch, whole):
    directory = tmp_path / "run"
    train.train(config(env_steps=60), directory, [])

    def die(directory, config):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(documents, "write_config", die)
        with pytest.raises(KeyboardInterrupt):
            train.resume(directory, 120, PLUGINS)
    assert (record(directory)["status"], record(directory)["results"]) == ("running", {})
    assert train.resume(directory, 120, PLUGINS).status == "finished"
    assert_same_run(whole, directory)


def test_a_run_whose_extension_was_killed_by_an_older_version_goes_on(tmp_path, whole):
    directory = tmp_path / "run"
    train.train(config(env_steps=60), directory, [])
    stored = directory / "config.yaml"
    stored.write_text(stored.read_text().replace("env_steps: 60", "env_steps: 120"))
    assert record(directory)["status"] == "finished"
    assert train.resume(directory, None, PLUGINS).status == "finished"
    assert_same_run(whole, directory)


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_the_next_evaluation_takes_the_place_of_a_lost_best(cut, capsys, damage, whole):
    best = cut / "checkpoints/best.pt"
    best.unlink() if damage == "lost" else best.write_bytes(best.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"best.*; the newest is \S+/step_\d+\.pt$"):
        evaluate(cut)
    assert evaluate(cut, checkpoint="latest").status == "finished"
    capsys.readouterr()
    train.resume(cut, None, PLUGINS)
    expected = "no such checkpoint" if damage == "lost" else "best.pt is damaged"
    said = capsys.readouterr().err
    assert expected in said and "the best evaluation from here on takes its place" in said
    assert best_step(cut) == 120
    assert rows(cut) == rows(whole)
    assert evaluate(cut).status == "finished"


def test_a_small_checkpoint_must_not_become_a_large_one(tmp_path):
    path, bomb = tmp_path / "step_5.pt", tmp_path / "bomb.pt"
    torch.save({"format": 1, "env_steps": 5, "zeros": torch.zeros(10_000_000)}, path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as small:
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"bomb.pt is damaged or no checkpoint: it is compressed"):
        load(bomb, torch.device("cpu"))


@pytest.mark.parametrize("name", ["checkpoints/step_94.pt", "metrics.jsonl", "run.json"])
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(cut, name):
    (cut / name).unlink()
    os.mkfifo(cut / name)
    with pytest.raises(ValueError, match=f"{name}: expected a regular file"):
        train.resume(cut, None, PLUGINS)
    with pytest.raises(ValueError, match=r"expected a regular file|no such checkpoint"):
        evaluate(cut, checkpoint=name.removeprefix("checkpoints/"))
