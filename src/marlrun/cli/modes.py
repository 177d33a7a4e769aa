"""What `mode=` can be: the root YAML of each mode, what it needs, what it does.

Everything heavy is imported when a mode runs, not before.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from marlrun.config.nested import Config, leaves
from marlrun.config.schema import show
from marlrun.runner.documents import holds_run, read_config
from marlrun.runner.elsewhere import changed
from marlrun.runner.outcome import Outcome
from marlrun.system.output import say, write
from marlrun.system.paths import expand_home, is_directory

if TYPE_CHECKING:
    from marlrun.runner.listing import Run


@dataclass(frozen=True)
class Mode:
    """One mode of the command line."""

    root: str
    """Name of its root YAML; the keys there, and of the groups it names, are all it takes."""
    needs: tuple[str, ...]
    """Groups that must be chosen."""
    run: Callable[[Config, Path, list[str]], Outcome]
    """Does it: (config, run directory, argv) -> outcome; ValueError for the user's mistakes."""
    may_take: tuple[str, ...] = ()
    """Groups that some jobs take."""
    makes_directory: bool = False
    """Each job has a run directory of its own, so it can be swept."""
    only_says: bool = False
    """Its results stand on stdout alone."""
    open_nodes: tuple[str, ...] = ()
    """Nodes of its root YAML to which any keys may be added; the mode itself checks them."""
    newest: Callable[[], Path] | None = None
    """Returns the run that `run=latest` means."""
    asks_for_types: bool = False
    """Its configuration has a further key `untyped`: the keys whose files do not say their TYPE."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups whose choice is part of a job's record."""
        return self.needs + self.may_take


def train(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Train, or go on with the same job where `directory` holds its interrupted run."""
    from marlrun.runner.train import train

    return train(config, directory, argv)


def evaluate(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Measure a run on fresh episodes, also in a changed game or with other runs' policies."""
    run = existing_run(config["run"])
    changes = {"env": config["env"], "graph": config["graph"]}
    runs = {name: _checkpoint_of(name, value) for name, value in leaves(config["agents"])}
    if any(changes.values()):
        # A slip is answered before anything heavy is imported.
        changed(read_config(run), changes)
    from marlrun.runner.evaluate import evaluate_run
    from marlrun.runner.team import Guest

    keys = ("episodes", "checkpoint", "video", "seed", "device", "threads", "plugins")
    guests = {name: Guest(*place) for name, place in runs.items()}
    asked = {key: config[key] for key in keys}
    return evaluate_run(run, **asked, changes=changes, guests=guests)


def _checkpoint_of(name: str, value: object) -> tuple[Path, str]:
    """Return the run, and its checkpoint, that `agents.NAME=RUN` or `agents.NAME=FILE.pt` names."""
    key = f"agents.{name}"
    if not isinstance(value, str) or not value:
        expected = "expected a run's directory, or RUN/checkpoints/FILE.pt"
        raise ValueError(f"{key}={show(value)}: {expected}")
    path = Path(expand_home(value, key))
    if path.suffix == ".pt":
        return existing_run(str(path.parent.parent), key), str(path)
    return existing_run(str(path), key), "best"


def resume(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Go on with a run."""
    run = existing_run(config["run"])
    from marlrun.runner.train import resume

    return resume(run, config["env_steps"], config["plugins"], config["updates"])


def exact(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Print the exact values of a game, as JSON in the last line; null where it can't be solved.

    That a game cannot be solved is an answer, not a failure.
    """
    from marlrun.exact import solve, why_not

    env, plugins = config["env"], config["plugins"]
    values: dict[str, float] | None = solve(env, plugins)
    if values is None:
        lines = [f"cannot be solved: {why_not(env, plugins)}"]
    else:
        lines = [f"{name:>10}  {value:.6g}" for name, value in values.items()]
    answer = json.dumps(values or {"optimum": None, "random": None})
    write("\n".join([*lines, answer]))
    return Outcome("finished")


def graph(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Print how fast a graph's agents agree, and draw it; its measures as JSON are the last line."""
    import torch

    from marlrun.graphs import picture
    from marlrun.graphs.measures import measure
    from marlrun.runner import inputs
    from marlrun.runner.build import build_graph

    node = inputs.put(config, inputs.read_typed(config))["graph"]
    size = config["num_agents"]
    name = node["_target_"].rpartition(".")[2]
    out = Path(config["out"] or f"{name}_{size}.png")
    picture.check_file(out)
    seeds, device = [config["seed"]], torch.device("cpu")
    network = build_graph(node, size, seeds, device, config["plugins"])
    if network.problem:
        say(f"marlrun: {network.problem}")
    # The picture is of the first rounds.
    picture.draw(network, out, f"{name}, {size} agents, {node['weights']}, {node['dynamics']}")
    found = measure(network, config["draws"])
    write("\n".join([*found.lines(), f"picture: {out}", json.dumps(found.values())]))
    return Outcome("finished")


def runs(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """List the runs below a directory."""
    from marlrun.cli.runs import write_json, write_table
    from marlrun.runner.listing import runs

    listed = runs(config["dir"])
    (write_json if config["json"] else write_table)(listed)
    if not listed:
        say(f"marlrun: no runs below {config['dir']}")
    return Outcome("finished")


def check(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Try the promises of an environment and an algorithm; a summary as JSON is the last line."""
    from marlrun.checks.check import check

    job_config = {key: value for key, value in config.items() if key != "untyped"}
    return check(job_config, config["untyped"])


def newest_to_measure() -> Path:
    """Return the run that began last of those that have a checkpoint."""
    return _newest("run with a checkpoint", lambda run: run.has_checkpoint).path


def newest_to_resume() -> Path:
    """Return the run that began last of those not finished, or the sweep that it is a job of."""
    run = _newest("unfinished run or sweep", lambda run: run.is_unfinished)
    return run.sweep or run.path


def _newest(meant: str, is_meant: "Callable[[Run], bool]") -> "Run":
    from marlrun.runner.listing import OUTPUTS, runs

    listed = runs(OUTPUTS) if is_directory(Path(OUTPUTS)) else []
    for run in filter(is_meant, listed):
        return run
    raise ValueError(f"run=latest: no {meant} below {OUTPUTS}/; a directory is typed ./latest")


def existing_run(path: str | PathLike[str], key: str = "run") -> Path:
    """Return the directory of a run that `key` names.

    It is checked before torch is imported, so that a slip costs no time.
    """
    from marlrun.sweeps.directory import holds_sweep

    directory = Path(path)
    if not is_directory(directory):
        raise ValueError(f"{key}={directory}: no such directory")
    if holds_sweep(directory):
        raise ValueError(f"{key}={directory}: a sweep; expected one of its jobs' directories")
    if not holds_run(directory):
        raise ValueError(
            f"{key}={directory}: expected a run directory, this one has no config.yaml"
        )
    return directory


MODES = {
    "train": Mode("config", ("algo", "env"), train, may_take=("graph",), makes_directory=True),
    "eval": Mode(
        "eval",
        (),
        evaluate,
        only_says=True,
        open_nodes=("env", "graph", "agents"),
        newest=newest_to_measure,
    ),
    "resume": Mode("resume", (), resume, newest=newest_to_resume),
    "exact": Mode("exact", ("env",), exact, only_says=True),
    "graph": Mode("graph", ("graph",), graph, only_says=True),
    "runs": Mode("runs", (), runs, only_says=True),
    "check": Mode(
        "check", ("env",), check, may_take=("algo", "graph"), only_says=True, asks_for_types=True
    ),
}
