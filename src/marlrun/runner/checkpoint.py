"""Checkpoints: whole or absent, without pickled code, rotated.

`step_<env_steps>.pt` files, or `update_<updates>.pt` of an offline learner, hold a whole run at a
tick, the highest number is the latest; `best.pt` holds the learner that was evaluated best, by the tag
that `checkpoint.best` names. Nothing else says which is which, so there is no moment at which a kill
leaves the directory in doubt. `best_before.pt` is a copy of the one
before, where the learner was evaluated only because the run ended there: training for longer brings
it back. With `checkpoint.best=latest` a run has neither of the two. `reward.pt`, beside checkpoints/,
is the reward that the newest checkpoint has recovered, where the learner recovers one.
"""

import pickle
import re
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, Protocol, cast

import torch

from marlrun.config.unit import Unit, stem, unit_of
from marlrun.system.errors import with_type
from marlrun.system.reading import InputFile, opened
from marlrun.system.writing import write_atomically
from marlrun.types import StateDict

FORMAT = 1
REWARD = "reward.pt"
NEWEST = "latest"
"""The name of the newest step checkpoint; as `checkpoint.best`, no evaluation selects another."""
_NUMBERED = re.compile(r"(step|update)_([0-9]+)\.pt")


class Stateful(Protocol):
    """Whatever can take back its state."""

    def load_state_dict(self, state: StateDict) -> object:
        """Go on from `state`."""
        ...


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, keep: int = 0, unit: Unit = "env_steps"):
        """Take how many older checkpoints are kept and what the run counts; to read, neither matters."""
        self._directory, self._keep = directory / "checkpoints", keep
        self._unit: Unit = unit
        self._best = self._directory / "best.pt"
        self._best_before = self._directory / "best_before.pt"
        self._reward = directory / REWARD

    def save(self, count: int, state: StateDict) -> None:
        """Write the checkpoint of this tick; then remove all but `keep` of the older ones."""
        self._write(self._directory / f"{stem(self._unit, count)}.pt", count, state)
        for path in self.steps()[: -1 - self._keep]:
            path.unlink()

    def save_reward(
        self, count: int, reward: StateDict, env: Mapping[str, object] | None = None
    ) -> None:
        """Write the reward that is recovered at this tick, and its game's settled node, over the last."""
        self._write(self._reward, count, {"reward": reward, "env": env and dict(env)})

    def save_best(self, count: int, state: StateDict, *, for_now: bool = False) -> None:
        """Write best.pt in place of the one before, of which `for_now` keeps a copy."""
        # A copy, not a move: after a kill between the two, mode=eval must find a best.pt.
        if for_now and self._best.is_file():
            with opened(self._best) as best:
                write_atomically(self._best_before, partial(copyfileobj, best))
        self._write(self._best, count, state)

    def take_back_best(self) -> None:
        """Bring back the best.pt of which `save_best(.., for_now=True)` kept a copy, if it did."""
        with suppress(FileNotFoundError):
            self._best_before.replace(self._best)

    def steps(self) -> list[Path]:
        """Return the checkpoints that hold a whole run, oldest first."""
        paths = [path for path in self._directory.glob("*.pt") if _NUMBERED.fullmatch(path.name)]
        return sorted(paths, key=count_of)

    def latest(self) -> Path | None:
        """Return the newest of them, None if there is none."""
        return next(reversed(self.steps()), None)

    def named(self, name: str) -> Path:
        """Return the file that `best`, `latest` or a file name means; ValueError if there is none.

        A file is looked for as it is written, then among the run's checkpoints.
        """
        choices = {"best": self._best, NEWEST: self.latest()}
        candidates = [choices[name]] if name in choices else [Path(name), self._directory / name]
        for path in candidates:
            if path is not None and path.is_file():
                return path
        where = f"no such checkpoint in {self._directory}"
        raise ValueError(f"checkpoint={name}: {where}{self.hint(name)}")

    def hint(self, name: str) -> str:
        """Return what to say of another checkpoint where the one called `name` is no good."""
        newest = None if name == NEWEST else self.latest()
        return "" if newest is None else f"; the newest is {newest}"

    def _write(self, path: Path, count: int, state: StateDict) -> None:
        self._directory.mkdir(exist_ok=True)
        content = {"format": FORMAT, self._unit: count, **state}
        write_atomically(path, partial(_save, content))


def _save(content: StateDict, file: BinaryIO) -> None:
    """Write a checkpoint's content; OSError if it cannot be written."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # PyTorch complains of what follows from a full disk, for example.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def selection(tag: str) -> str:
    """Return the sentence that says what selects best.pt, given the value of `checkpoint.best`."""
    if tag == NEWEST:
        return "none is kept, mode=eval takes the newest checkpoint (checkpoint.best=latest)"
    return f"the learner with the highest {tag}, mean over seeds (checkpoint.best)"


def count_of(path: Path) -> int:
    """Return how far a run was at a checkpoint that holds all of it, from its name."""
    return int(path.stem.rpartition("_")[2])


def load(source: Path | InputFile, device: torch.device) -> StateDict:
    """Read a checkpoint onto `device`, running none of its code; ValueError if it is damaged."""
    path = source if isinstance(source, Path) else source.path
    try:
        with opened(source) if isinstance(source, Path) else BytesIO(source.content) as file:
            _refuse_damage(file)
            file.seek(0)
            content: Any = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch advises to load it without weights_only, which would run a stranger's code.
        reason = "it holds other objects than tensors and plain values"
        raise ValueError(f"{path} is damaged or no checkpoint: {reason}") from error
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} is damaged or no checkpoint: {reason}") from error
    state = cast(StateDict, content) if isinstance(content, dict) else {}
    if state.get("format") != FORMAT or not isinstance(state.get(unit_of(state)), int):
        raise ValueError(f"{path} is no checkpoint of this version of marlrun")
    return state


def _refuse_damage(file: BinaryIO) -> None:
    """Raise an error unless all of an archive is there; PyTorch lets flipped bits pass."""
    with zipfile.ZipFile(file) as archive:
        # A small file must not become a large one in memory; PyTorch compresses nothing.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")
        if damaged := archive.testzip():
            raise ValueError(f"wrong checksum of {damaged}")
        # PyTorch would warn, and advise to run its code.
        if any(entry.filename.endswith("/constants.pkl") for entry in archive.infolist()):
            raise ValueError("it is a TorchScript model")


def restore(checkpoint: StateDict, path: Path, **parts: Stateful) -> None:
    """Load the named parts of a checkpoint; ValueError if it does not fit the configuration."""
    for name, part in parts.items():
        with fitting(path, name):
            part.load_state_dict(checkpoint[name])


@contextmanager
def fitting(path: Path, name: str) -> Generator[None]:
    """Turn whatever goes wrong with part `name` of a checkpoint into one line of ValueError."""
    try:
        yield
    except Exception as error:
        reason = f"{name}: {with_type(error)}"
        raise ValueError(f"{path} does not fit config.yaml: {reason}") from error
