import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from marlrun.runner.checkpoint import Checkpoints, load
from marlrun.system.writing import write_atomically

CPU = torch.device("cpu")
STATE = {"learner": {"weights": torch.arange(1000.0), "names": ["a", "b"], "none": None}}


def save(tmp_path, *steps, keep=1):
    checkpoints = Checkpoints(tmp_path, keep)
    for step in steps:
        checkpoints.save(step, STATE)
    return checkpoints


def test_what_is_saved_comes_back(tmp_path):
    path = save(tmp_path, 7).latest()
    content = load(path, CPU)
    assert content["env_steps"] == 7
    assert torch.equal(content["learner"]["weights"], STATE["learner"]["weights"])
    assert content["learner"]["names"] == ["a", "b"]


def test_the_highest_number_is_the_latest_and_keep_more_stay(tmp_path):
    checkpoints = save(tmp_path, 0, 900, 1000, 10000, keep=2)
    assert [path.name for path in checkpoints.steps()] == [
        "step_900.pt",
        "step_1000.pt",
        "step_10000.pt",
    ]
    assert checkpoints.latest().name == "step_10000.pt"
    assert Checkpoints(tmp_path / "empty").latest() is None


def test_a_leftover_is_ignored(tmp_path):
    checkpoints = save(tmp_path, 5)
    (tmp_path / "checkpoints/.step_6.pt.tmp").write_bytes(b"half")
    assert checkpoints.latest().name == "step_5.pt"


def test_names(tmp_path):
    checkpoints = save(tmp_path, 5, 6)
    checkpoints.save_best(5, STATE)
    assert checkpoints.named("best").name == "best.pt"
    assert checkpoints.named("latest").name == "step_6.pt"
    assert checkpoints.named("step_5.pt").name == "step_5.pt"
    assert checkpoints.named(str(tmp_path / "checkpoints/step_5.pt")).name == "step_5.pt"
    with pytest.raises(ValueError, match="checkpoint=step_4.pt: no such checkpoint"):
        checkpoints.named("step_4.pt")
    with pytest.raises(ValueError, match="checkpoint=latest: no such checkpoint"):
        Checkpoints(tmp_path / "empty").named("latest")


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda data: data[:-50], lambda data: data[:100], lambda data: b"", lambda _: b"x"],
)
def test_damage_is_told_with_the_files_name(tmp_path, damage):
    path = save(tmp_path, 5).latest()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="step_5.pt is damaged") as told:
        load(path, CPU)
    assert "\n" not in str(told.value)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickled_code_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, 5).latest()
    torch.save({"format": 1, "learner": Bomb()}, path)
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        load(path, CPU)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        load(path, CPU)
    assert not (tmp_path / "exploded").exists()


FOREIGN = {
    "an array": lambda path: torch.save({"weights": np.zeros(3)}, path),
    "a module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "TorchScript": lambda path: write_script(path),
}


def write_script(path):
    """Write what PyTorch takes for TorchScript, by one of its names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("constants.pkl", "data.pkl", "version"):
            archive.writestr(f"model/{name}", b"")


@pytest.mark.parametrize("kind", FOREIGN)
def test_nothing_advises_to_run_the_code_of_a_foreign_checkpoint(tmp_path, kind):
    path = tmp_path / "x.pt"
    FOREIGN[kind](path)
    with pytest.raises(ValueError, match="x.pt is damaged or no checkpoint: ") as told:
        load(path, CPU)
    script, objects = (
        "it is a TorchScript model",
        "it holds other objects than tensors and plain values",
    )
    assert str(told.value).endswith(script if kind == "TorchScript" else objects)


def test_another_zip_is_no_checkpoint(tmp_path):
    path = save(tmp_path, 5).latest()
    for content in ({"weights": torch.ones(3)}, {"format": 1}, torch.ones(3)):
        torch.save(content, path)
        with pytest.raises(ValueError, match="no checkpoint of this version"):
            load(path, CPU)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello", "world")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        load(path, CPU)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"


def test_a_kill_amid_the_last_evaluation_leaves_a_best_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_best(5, {"learner": {}})

    def killed(path, count, state):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_best(7, {"learner": {}}, for_now=True)
    assert load(checkpoints.named("best"), CPU)["env_steps"] == 5
    checkpoints.take_back_best()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["best.pt"]
    assert load(checkpoints.named("best"), CPU)["env_steps"] == 5
