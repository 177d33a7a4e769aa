"""What `mode=` can be: the root YAML of each mode, what it needs, what it does.

Everything heavy is imported when a mode runs, not before.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from marlrun.cli.directories import (
    checkpoint_of,
    existing_run,
    newest_to_measure,
    newest_to_resume,
)
from marlrun.config.nested import Config, leaves
from marlrun.runner.documents import read_config
from marlrun.runner.elsewhere import changed
from marlrun.runner.outcome import Outcome
from marlrun.system.output import say, write


@dataclass(frozen=True)
class Mode:
    """One mode of the command line."""

    root: str
    """The name of its root YAML: a mode takes the keys there, and those of the groups it names."""
    needs: tuple[str, ...]
    """Groups from which one must choose."""
    run: Callable[[Config, Path, list[str]], Outcome]
    """Does the work: (config, run directory, argv) -> outcome; ValueError for wrong input."""
    may_take: tuple[str, ...] = ()
    """Groups from which one may choose."""
    makes_directory: bool = False
    """Whether a job has a run directory of its own, so that jobs can be swept."""
    only_says: bool = False
    """Whether the results stand on stdout alone."""
    newest: Callable[[], Path] | None = None
    """Returns the run that `run=latest` means."""
    asks_for_types: bool = False
    """Whether the configuration has a further key `untyped`: the keys whose files name no TYPE."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups from which one can choose; a job's configuration names the choices."""
        return self.needs + self.may_take


def train(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Train, or go on with the same job where `directory` holds its interrupted run."""
    from marlrun.runner.train import train

    return train(config, directory, argv)


def evaluate(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Measure a run on fresh episodes, also in a changed game or with other runs' policies."""
    run = existing_run(config["run"])
    changes = {"env": config["env"], "graph": config["graph"]}
    checkpoints = {name: checkpoint_of(name, value) for name, value in leaves(config["agents"])}
    if any(changes.values()):
        # A slip is answered before anything heavy is imported.
        changed(read_config(run), changes)
    from marlrun.runner.evaluate import evaluate_run
    from marlrun.runner.team import Guest

    keys = ("episodes", "checkpoint", "video", "seed", "device", "threads", "plugins", "rotate")
    settings = {key: config[key] for key in keys}
    guests = {name: Guest(*checkpoint) for name, checkpoint in checkpoints.items()}
    return evaluate_run(run, **settings, changes=changes, guests=guests)


def resume(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Go on with a run."""
    run = existing_run(config["run"])
    from marlrun.runner.train import resume

    return resume(run, config["env_steps"], config["plugins"], config["updates"])


def exact(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Print the exact values of a game, as JSON in the last line; null where it can't be solved.

    That a game cannot be solved is an answer, not a failure.
    """
    from marlrun.exact import details, solve, why_not
    from marlrun.runner.console import SOLVING, announcing

    env, plugins = config["env"], config["plugins"]
    with announcing(SOLVING):
        values: dict[str, float] | None = solve(env, plugins)
    width = max(map(len, values or {}), default=0)
    lines = [f"{name:>{max(10, width)}}  {value:.6g}" for name, value in (values or {}).items()]
    if values is None or "optimum" not in values:
        lines.append(f"cannot be solved: {why_not(env, plugins)}")
    unknown = {"optimum": None, "random": None}
    answer = unknown if values is None else unknown | values | details(env, plugins)
    write("\n".join([*lines, json.dumps(answer)]))
    return Outcome("finished")


def demonstrate(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Write episodes of a run's policy into a file; its card as JSON is the last line."""
    run, changes = existing_run(config["run"]), {"env": config["env"]}
    if config["env"]:
        # A slip is answered before anything heavy is imported.
        changed(read_config(run), changes)
    from marlrun.runner.demonstrate import demonstrate

    keys = ("episodes", "checkpoint", "replica", "seed", "device", "threads", "plugins")
    settings = {key: config[key] for key in keys}
    return demonstrate(run, Path(config["out"]), **settings, changes=changes)


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
    if network.needs_adjacency:
        raise ValueError(
            f"graph={name}: mode=graph plays no game in which agents are near each other, expected "
            f"another graph, or a run: algo=networked_ac_q env=networked_spread graph={name}"
        )
    if network.problem:
        say(f"marlrun: {network.problem}")
    # The picture is of the first rounds.
    picture.draw(network, out, f"{name}, {size} agents, {node['weights']}, {node['dynamics']}")
    measures = measure(network, config["draws"])
    write("\n".join([*measures.lines(), f"picture: {out}", json.dumps(measures.values())]))
    return Outcome("finished")


def runs(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """List the runs below a directory."""
    from marlrun.cli.runs import write_json, write_table
    from marlrun.runner.listing import runs

    all_runs = runs(config["dir"])
    (write_json if config["json"] else write_table)(all_runs)
    if not all_runs:
        say(f"marlrun: no runs below {config['dir']}")
    return Outcome("finished")


def check(config: Config, directory: Path, argv: list[str]) -> Outcome:
    """Try the promises of an environment and an algorithm; a summary as JSON is the last line."""
    from marlrun.checks.check import check

    job_config = {key: value for key, value in config.items() if key != "untyped"}
    return check(job_config, config["untyped"])


MODES = {
    "train": Mode("config", ("algo", "env"), train, may_take=("graph",), makes_directory=True),
    "eval": Mode(
        "eval",
        (),
        evaluate,
        may_take=("graph",),
        only_says=True,
        newest=newest_to_measure,
    ),
    "resume": Mode("resume", (), resume, newest=newest_to_resume),
    "exact": Mode("exact", ("env",), exact, only_says=True),
    "demonstrate": Mode("demonstrate", (), demonstrate, newest=newest_to_measure),
    "graph": Mode("graph", ("graph",), graph, only_says=True),
    "runs": Mode("runs", (), runs, only_says=True),
    "check": Mode(
        "check", ("env",), check, may_take=("algo", "graph"), only_says=True, asks_for_types=True
    ),
}
