"""How a job ended: what the runner tells the command line. Imports nothing heavy."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Status = Literal["finished", "interrupted", "failed", "refused"]


@dataclass(frozen=True)
class Outcome:
    """A job's end. `refused`: wrong input, nothing was done (only the command line says so)."""

    status: Status
    directory: Path | None = None
    results: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Tag -> one number per seed."""
    error: str | None = None
    """One line; None unless failed or refused."""
