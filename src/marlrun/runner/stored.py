"""A stored run, opened: its configuration, and the learner that a checkpoint holds.

Evaluation begins here, and whatever else needs what a run has learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from marlrun.config.nested import Config
from marlrun.config.unit import Unit, unit_of
from marlrun.runner import documents, inputs
from marlrun.runner.abilities import refuse_unable
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.checkpoint import NEWEST, Checkpoints, load, restore
from marlrun.runner.device import choose
from marlrun.runner.elsewhere import changed, differences
from marlrun.runner.job import Job, read_job, with_files, with_graph
from marlrun.runner.shapes import misfit
from marlrun.system.output import say
from marlrun.types import AnyLearner, Env, Spec


@dataclass(frozen=True)
class StoredRun:
    """A run directory whose configuration was read and found good."""

    directory: Path
    config: Config
    """What the directory holds; or, of a run that is evaluated elsewhere, with what was changed."""
    job: Job
    """What the run does, with the files it needs."""
    device: torch.device
    plugins: Sequence[str]
    """Packages that the user allows now; what the stored configuration names counts for nothing."""


class Trained(NamedTuple):
    """A learner, the checkpoint it was taken from, and how far its training was."""

    learner: AnyLearner
    path: Path
    unit: Unit
    done: int


def open_run(directory: Path, device: str, plugins: Sequence[str]) -> StoredRun:
    """Read the run in `directory`; ValueError for whatever is wrong with it."""
    config = documents.read_config(directory)
    with documents.naming_config(directory):
        job = read_job(config)
    job = with_files(job, inputs.read_stored(config, directory))
    return StoredRun(directory, config, job, choose(device), plugins)


def move_run(run: StoredRun, changes: Config) -> StoredRun:
    """Return a run with `changes` of its environment and its graph; see `elsewhere.changed`.

    Files that `changes` names are read as typed. ValueError if the changes are no good.
    """
    if not any(changes.values()):
        return run
    config = changed(run.config, changes)
    job, config = with_graph(read_job(config), config, run.plugins)
    typed_files = inputs.read_typed(changes)
    stored_files = inputs.read_stored(inputs.put(config, dict.fromkeys(typed_files)), run.directory)
    return replace(run, config=config, job=with_files(job, {**stored_files, **typed_files}))


def training_env(run: StoredRun) -> Env:
    """Return one copy of the environment that the networks of a run are made for."""
    return build_env(run.job.env, run.job.seeds, run.device, run.plugins, num_envs=1)


def load_learner(run: StoredRun, env: Env, checkpoint: str) -> Trained:
    """Return the learner of a run, for environments such as `env`, as a checkpoint has it.

    `checkpoint` is `best`, `latest` or a file; `best` of a run that keeps none is its latest, and
    that is said. ValueError if there is none of this name, if it is damaged, or if it does not fit
    the configuration.
    """
    job = run.job
    refuse_unable(job.algo, job.env, env.spec, run.plugins)
    learner = build_learner(
        job.algo, env, job.seeds, run.device, run.plugins, job.num_envs, job.graph, job.env
    )
    checkpoints = Checkpoints(run.directory)
    if checkpoint == "best" and job.checkpoint_best == NEWEST:
        checkpoint = NEWEST
        say(
            f"{run.directory}: checkpoint.best=latest keeps no best.pt, the newest checkpoint is taken"
        )
    path = checkpoints.named(checkpoint)
    try:
        state = load(path, run.device)
    except ValueError as error:
        raise ValueError(f"{error}{checkpoints.hint(checkpoint)}") from error
    restore(state, path, learner=learner)
    unit = unit_of(state)
    return Trained(learner, path, unit, state[unit])


def load_moved(run: StoredRun, moved: StoredRun, game: Spec, checkpoint: str) -> Trained:
    """Return the learner of a run to play a changed game; ValueError if its networks do not fit.

    It is made for the environment of its training, since more of it may depend on that than what
    its policy needs, such as a replay of whole episodes; and for the changed graph.
    """
    env = training_env(run)
    if problem := misfit(env.spec, game):
        changed = differences(run.config, moved.config, "env").values()
        raise ValueError(f"{', '.join(changed)}: {problem}")
    refuse_unable(run.job.algo, run.job.env, game, run.plugins)
    job = replace(run.job, graph=moved.job.graph)
    return load_learner(replace(run, job=job), env, checkpoint)
