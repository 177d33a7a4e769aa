"""Checkpoints: whole or absent, without pickled code, rotated.

`step_<env_steps>.pt` files hold a whole run at a tick, the highest number is the latest; `best.pt`
holds the learner that was evaluated best. Nothing else says which is which, so there is no moment
at which a kill leaves the directory in doubt.
"""

import zipfile
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from marlrun.runner.files import write_atomically
from marlrun.types import StateDict

FORMAT = 1


class Stateful(Protocol):
    """Whatever can take back its state."""

    def load_state_dict(self, state: StateDict) -> object:
        """Go on from `state`."""
        ...


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, keep: int = 0):
        self._directory, self._keep = directory / "checkpoints", keep

    def save(self, env_steps: int, state: StateDict) -> None:
        """Write the checkpoint of this step; then remove all but `keep` of the older ones."""
        self._write(self._directory / f"step_{env_steps}.pt", env_steps, state)
        for path in self.steps()[: -1 - self._keep]:
            path.unlink()

    def save_best(self, env_steps: int, state: StateDict) -> None:
        """Write best.pt in place of the one before."""
        self._write(self._directory / "best.pt", env_steps, state)

    def steps(self) -> list[Path]:
        """Return the step checkpoints, oldest first."""
        found = [path for path in self._directory.glob("step_*.pt") if path.stem[5:].isdecimal()]
        return sorted(found, key=step_of)

    def latest(self) -> Path | None:
        """Return the newest step checkpoint, None if there is none."""
        return next(reversed(self.steps()), None)

    def named(self, name: str) -> Path:
        """Return the file that `best`, `latest` or a file name means; ValueError if there is none.

        A file is looked for as it is written, then among the run's checkpoints.
        """
        choices = {"best": self._directory / "best.pt", "latest": self.latest()}
        candidates = [choices[name]] if name in choices else [Path(name), self._directory / name]
        for path in candidates:
            if path is not None and path.is_file():
                return path
        raise ValueError(f"checkpoint={name}: no such checkpoint in {self._directory}")

    def _write(self, path: Path, env_steps: int, state: StateDict) -> None:
        self._directory.mkdir(exist_ok=True)
        content = {"format": FORMAT, "env_steps": env_steps, **state}
        write_atomically(path, lambda file: torch.save(content, file))


def step_of(path: Path) -> int:
    """Return the environment steps of a step checkpoint, from its name."""
    return int(path.stem.removeprefix("step_"))


def load(path: Path, device: torch.device) -> StateDict:
    """Read a checkpoint onto `device`, running none of its code; ValueError if it is damaged."""
    try:
        # PyTorch's own reader lets flipped bits pass; the archive's checksums do not.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"wrong checksum of {damaged}")
        content: Any = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(content, dict) or cast(StateDict, content).get("format") != FORMAT:
        raise ValueError(f"{path} is no checkpoint of this version of marlrun")
    return cast(StateDict, content)


def restore(checkpoint: StateDict, path: Path, **parts: Stateful) -> None:
    """Load the named parts of a checkpoint; ValueError if it does not fit the configuration."""
    for name, part in parts.items():
        try:
            part.load_state_dict(checkpoint[name])
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"{path} does not fit config.yaml: {name}: {reason}") from error
