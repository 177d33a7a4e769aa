"""A stored run, opened: its configuration, and the learner that a checkpoint holds.

Evaluation begins here, and whatever else needs what a run has learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from marlrun.runner import documents, inputs
from marlrun.runner.build import build_learner
from marlrun.runner.checkpoint import Checkpoints, load, restore
from marlrun.runner.device import choose
from marlrun.runner.job import Job, read_job, with_files
from marlrun.types import Env, Learner


@dataclass(frozen=True)
class StoredRun:
    """A run directory whose configuration was read and found good."""

    directory: Path
    job: Job
    """What the run does, with the files it needs."""
    device: torch.device
    plugins: Sequence[str]
    """Packages that the user allows now; what the stored configuration names counts for nothing."""


class Trained(NamedTuple):
    """A learner, and the checkpoint it was taken from."""

    learner: Learner
    path: Path
    env_steps: int


def open_run(directory: Path, device: str, plugins: Sequence[str]) -> StoredRun:
    """Read the run in `directory`; ValueError for whatever is wrong with it."""
    config = documents.read_config(directory)
    with documents.naming_config(directory):
        job = read_job(config)
    job = with_files(job, inputs.read_stored(config, directory))
    return StoredRun(directory, job, choose(device), plugins)


def load_learner(run: StoredRun, env: Env, checkpoint: str) -> Trained:
    """Return the learner of a run, for environments such as `env`, as a checkpoint has it.

    `checkpoint` is `best`, `latest` or a file. ValueError if there is none of this name, if it is
    damaged, or if it does not fit the configuration.
    """
    job = run.job
    learner = build_learner(
        job.algo, env, job.seeds, run.device, run.plugins, job.num_envs, job.graph
    )
    checkpoints = Checkpoints(run.directory)
    path = checkpoints.named(checkpoint)
    try:
        state = load(path, run.device)
    except ValueError as error:
        raise ValueError(f"{error}{checkpoints.hint(checkpoint)}") from error
    restore(state, path, learner=learner)
    return Trained(learner, path, state["env_steps"])
