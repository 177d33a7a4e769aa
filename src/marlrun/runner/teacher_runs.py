"""Runs that teach: what students need of one, in a file that needs the run no more."""

from collections.abc import Sequence
from pathlib import Path

from marlrun.config.unit import singular
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.nets.teacher import Teacher
from marlrun.runner import documents
from marlrun.runner.build import settled
from marlrun.runner.stored import StoredRun, Trained, load_learner, open_run, training_env
from marlrun.runner.teachers import teacher_file
from marlrun.system import commands
from marlrun.system.output import say
from marlrun.system.paths import is_directory
from marlrun.system.reading import InputFile
from marlrun.types import Spec


def pack(path: str, plugins: Sequence[str]) -> InputFile:
    """Return as a file what students need of the run in a directory, or of RUN/checkpoints/FILE.pt.

    Of a directory the best checkpoint is taken. ValueError, in one line, if there is no such run, if
    it is not finished, or if its agents have no recurrent Q-networks.
    """
    directory, checkpoint = _run_and_checkpoint(path)
    if not is_directory(directory):
        raise ValueError("no such directory")
    if not documents.holds_run(directory):
        raise ValueError(
            "expected a run directory (of a sweep, one of its jobs'), this one has no config.yaml"
        )
    if checkpoint == "best":
        _refuse_unfinished(directory, plugins)
    run = open_run(directory, "cpu", plugins)
    env = training_env(run)
    trained = load_learner(run, env, checkpoint)
    say(f"teacher {trained.path}: {singular(trained.unit)} {trained.done}")
    content = {
        trained.unit: trained.done,
        "teacher": _teacher_of(trained, env.spec, run).state_dict(),
        # Not the path: the same run under another name is the same teacher.
        "run": directory.resolve().name,
        "checkpoint": trained.path.name,
        "env": settled(run.job.env, plugins),
    }
    return teacher_file(path, content)


def _run_and_checkpoint(path: str) -> tuple[Path, str]:
    """Return the run that a path names, and the checkpoint to take."""
    place = Path(path)
    return (place.parent.parent, path) if place.suffix == ".pt" else (place, "best")


def _refuse_unfinished(directory: Path, plugins: Sequence[str]) -> None:
    record = documents.read_record(directory)
    status = "running" if record is None else record["status"]
    if status != "finished":
        raise ValueError(
            f"the run is not finished ({status}), go on with it by {commands.resume(directory, plugins)}, "
            f"or name one of its checkpoints, {directory}/checkpoints/FILE.pt"
        )


def _teacher_of(trained: Trained, spec: Spec, run: StoredRun) -> Teacher:
    """Return the networks of a learner that has a recurrent Q-network for each agent."""
    net, rows = (getattr(trained.learner, name, None) for name in ("net", "online"))
    members = len(run.job.seeds) * spec.num_agents
    if not isinstance(net, RecurrentQ) or rows is None or len(rows) != members:
        name = run.config.get("choices", {}).get("algo", run.job.algo["_target_"])
        raise ValueError(
            f"algo {name} has no recurrent Q-network for each agent, expected a run of one that has, "
            "such as dec_hdrqn"
        )
    return Teacher(spec, net, rows)
