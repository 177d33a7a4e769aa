"""mode=demonstrate: episodes of a run's policy are written into a file, from which others learn."""

import json
import os
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import torch

from marlrun.config.nested import Config
from marlrun.config.tasks import tasks_of
from marlrun.config.unit import singular
from marlrun.data import demonstrations
from marlrun.data.demonstrations import Episode
from marlrun.runner import console, documents
from marlrun.runner.build import Node, build_env, build_learner, settled
from marlrun.runner.demonstrations import no_better
from marlrun.runner.device import set_up
from marlrun.runner.elsewhere import differences
from marlrun.runner.evaluate import check_room, evaluate
from marlrun.runner.intervals import estimate
from marlrun.runner.meters import floats
from marlrun.runner.outcome import Outcome
from marlrun.runner.plays import RANDOM, block_size
from marlrun.runner.recording import Recording
from marlrun.runner.stored import StoredRun, Trained, load_moved, move_run, open_run
from marlrun.system import capacity
from marlrun.system.output import say, write
from marlrun.system.reading import LARGEST
from marlrun.system.writing import write_atomically
from marlrun.types import AnyLearner, Seeds, Spec


class Played(NamedTuple):
    """Whole episodes of one replica."""

    episodes: list[Episode]
    returns: dict[str, list[float]]
    """A number for each episode, by `mean` (over the agents) and by the agents' names."""


def demonstrate(
    directory: Path,
    out: Path,
    *,
    episodes: int,
    checkpoint: str,
    replica: int,
    seed: int | None,
    device: str,
    threads: int,
    plugins: Sequence[str],
    changes: Config,
) -> Outcome:
    """Write whole episodes of one replica's policy, which plays as in its evaluation, to `out`.

    As many episodes of uniform random play say what the expert's returns are worth. The card is the
    last line of stdout. ValueError for whatever is wrong with the run, the replica or a change, and
    if `out` exists.
    """
    check_out(out)
    run = open_run(directory, device, plugins)
    check_replica(run, replica)
    moved = move_run(run, changes)
    set_up(threads)
    trained_with = run.job.seeds[replica]
    seed = trained_with if seed is None else seed
    game = build_env(moved.job.env, [seed], run.device, plugins, num_envs=1)
    _check_size(game.spec, moved, episodes)
    trained = load_moved(run, moved, game.spec, checkpoint)
    uniform = build_learner(RANDOM, game, [seed], run.device, plugins, 1, None)

    seeds = [seed] * len(run.job.seeds)
    expert = _play(moved, trained.learner, seeds, replica, episodes, "mode=demonstrate")
    random = _play(moved, uniform, [seed], 0, episodes, "mode=demonstrate/random")
    returns = {"expert": expert.returns, "random": random.returns}
    card = {
        **_card_of_game(moved, game.spec),
        "source": _source(run, trained, trained_with),
        "seed": seed,
        "returns": {who: _estimates(columns) for who, columns in returns.items()},
        "versions": documents.versions("marlrun", "torch"),
        "git": documents.git_commit(),
    }
    write_atomically(out, lambda file: demonstrations.write(file, card, expert.episodes))

    say(f"{trained.path}: {singular(trained.unit)} {trained.done}, replica {replica}")
    _say_remarks(run, moved, card, out)
    _write_results(out, returns)
    return Outcome("finished")


def check_out(out: Path) -> None:
    """Raise ValueError unless a new file can be written to `out`."""
    try:
        is_there = out.is_symlink() or out.exists()
    except OSError as error:
        raise ValueError(f"out={out}: expected a new file: {error.strerror}") from error
    if is_there:
        raise ValueError(f"out={out}: exists, expected a new file")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"out={out}: no such directory: {out.parent}")
    if not os.access(out.absolute().parent, os.W_OK):
        raise ValueError(f"out={out}: expected a directory that can be written to: {out.parent}")


def check_replica(run: StoredRun, replica: int) -> None:
    """Raise ValueError unless the run has this replica."""
    count = len(run.job.seeds)
    if replica >= count:
        raise ValueError(f"replica={replica}: expected int [0, {count - 1}], as the run has")


def _check_size(spec: Spec, run: StoredRun, episodes: int) -> None:
    """Raise ValueError unless memory holds the episodes, and a reader takes the file."""
    size = block_size(run.job.env, run.plugins)
    check_room(spec, len(run.job.seeds), episodes, size, run.device, "episodes")
    row = 4 * spec.num_agents * (max(spec.obs_sizes) + max(spec.num_actions) + 2)
    num_bytes = max(1, len(spec.tasks)) * episodes * (spec.horizon + 1) * row
    if num_bytes > LARGEST:
        most = max(1, LARGEST * episodes // num_bytes)
        raise ValueError(f"episodes={episodes}: a file holds about {most} of this game at most")
    capacity.check(8 * num_bytes, torch.device("cpu"), f"episodes={episodes}")


def _play(
    run: StoredRun,
    learner: AnyLearner,
    seeds: Seeds,
    replica: int,
    episodes: int,
    purpose: str,
) -> Played:
    """Play episodes, of each task, with the random numbers of this purpose; return one replica's."""
    recording, returns = Recording(replica), dict[str, list[float]]()
    for game in tasks_of(run.job.env).values() or [run.job.env]:
        blocks = evaluate(
            game,
            learner,
            seeds,
            run.device,
            run.plugins,
            purpose=purpose,
            episodes=episodes,
            solution=None,
            watch=recording.add,
        )
        for block in blocks:
            recording.close()
            for tag, column in block.items():
                if name := _name(tag):
                    returns.setdefault(name, []).extend(floats(column[replica]))
    for name, column in returns.items():
        if not all(map(isfinite, column)):
            raise FloatingPointError(f"NaN or infinity in the return of {name}, {purpose}")
    return Played(recording.episodes, returns)


def _name(tag: str) -> str | None:
    """Return whose return the tag of an evaluation means; None if it means none."""
    if tag == console.HEADLINE:
        return "mean"
    is_agents = tag.startswith("agent/") and tag.endswith("/return")
    return tag.removeprefix("agent/").removesuffix("/return") if is_agents else None


def _card_of_game(run: StoredRun, spec: Spec) -> dict[str, Any]:
    """Return what a card says of the game that was played."""
    env = settled(run.job.env, run.plugins)
    del env["num_envs"]
    return {
        "environment": run.config.get("choices", {}).get("env"),
        "env": env,
        "agents": list(spec.agent_names),
        "obs_sizes": list(spec.obs_sizes),
        "num_actions": list(spec.num_actions),
        "horizon": spec.horizon,
        "discount": spec.discount,
    }


def _source(run: StoredRun, trained: Trained, seed: int) -> Node:
    """Return what a card says of the expert."""
    return {
        "run": run.directory.absolute().name,
        "algo": run.config.get("choices", {}).get("algo"),
        "seed": seed,
        "checkpoint": trained.path.name,
        trained.unit: trained.done,
    }


def _estimates(returns: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | None]]:
    """Return the means of returns with their 95 % intervals, which one episode does not have."""
    estimates = {name: estimate(column) for name, column in returns.items()}
    return {
        name: {"mean": value.mean, "low": value.low, "high": value.high}
        for name, value in estimates.items()
    }


def _say_remarks(run: StoredRun, moved: StoredRun, card: Mapping[str, Any], out: Path) -> None:
    """Say what of the game was changed, and whether the expert is poor."""
    if elsewhere := differences(run.config, moved.config, "env").values():
        say(f"elsewhere: {', '.join(elsewhere)}")
    if warning := no_better(card):
        say(f"marlrun: {out}: {warning}")


def _write_results(out: Path, returns: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Write the returns, what was written, and last the card without the hashes as JSON."""
    columns = {
        f"{who}/{name}": column for who, part in returns.items() for name, column in part.items()
    }
    console.write_results(columns, "episode")
    card = demonstrations.read_card(out)
    size = out.stat().st_size / 1e6
    write(f"{out}: {card['episodes']} episodes, {card['steps']} joint steps, {size:.1f} MB")
    write(json.dumps({key: value for key, value in card.items() if key != "sha256"}))
