"""What policies of many tasks, their teachers and random actions earn on tasks that nobody was trained on.

The numbers are those of `marlrun mode=eval run=RUN` with the same keys: of best checkpoints, 1,000 fresh
episodes of each task and seed, as parts of the exact optimum.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, cast

from kept import Node, markdown, with_worst
from paper2.summaries import rounded

from marlrun.algos.random import Random
from marlrun.runner.device import set_up
from marlrun.runner.evaluate import evaluate, exact_values, means
from marlrun.runner.stored import StoredRun, load_learner, open_run, training_env
from marlrun.system.errors import advising
from marlrun.system.output import say
from marlrun.system.reading import read_json
from marlrun.system.writing import write_atomically
from marlrun.types import AnyLearner

EPISODES = 1000
UNSEEN_SIZES = (2, 7, 8)
VALUES: dict[str, Sequence[Any]] = {
    "flicker": (0.0, 0.15, 0.3, 0.5, 0.7),
    "motion": ([1, 0], [0, 1], [1, 1], "static", "random"),
}
SIZES = "sizes"
"""The condition in which all sizes are played, with flicker and motion as trained."""
BASELINES = {"Multi-HDRQN": "multi_hdrqn", "Multi-DRQN": "multi_drqn"}
SPECIALISTS = "specialists, each on its own size"
RANDOM = "random"

Fractions = Mapping[str, Mapping[str, Sequence[float]]]
"""Returns as parts of the exact optimum, seed by seed, by condition and task."""


class Player(NamedTuple):
    """A policy that plays, its run, and a stamp that tells it from others: a hash of its checkpoint."""

    run: StoredRun
    learner: AnyLearner
    stamp: str


def trained_player(directory: Path) -> Player:
    """Return the policy of a finished run."""
    run = open_run(directory, "cpu", ())
    trained = load_learner(run, training_env(run), "best")
    return Player(run, trained.learner, hashlib.sha256(trained.path.read_bytes()).hexdigest()[:12])


def random_player(run: StoredRun) -> Player:
    """Return random actions, on the seeds of a run."""
    spec = training_env(run).spec
    return Player(run, Random(spec, run.job.seeds, run.device, num_envs=1), RANDOM)


def specialist(size: int) -> str:
    """Return the name of a specialist."""
    return f"specialist of {size} x {size}"


def players(folder: Path) -> dict[str, Player]:
    """Return the policies that are measured, of the finished runs in a directory, by name."""
    distilled = trained_player(folder / "paper1_distilled/distill")
    patterns = {name: f"paper1_distilled/baselines/*_{algo}" for name, algo in BASELINES.items()}
    patterns |= {
        specialist(size): f"paper1_specialists/*size={size}"
        for size in distilled.run.config["env"][SIZES]
    }
    others = {
        name: trained_player(only_path(folder, pattern)) for name, pattern in patterns.items()
    }
    return {"distilled": distilled} | others | {RANDOM: random_player(distilled.run)}


def only_path(folder: Path, pattern: str) -> Path:
    """Return the path in a directory that fits a pattern; ValueError unless there is exactly one."""
    paths = list(folder.glob(pattern))
    if len(paths) != 1:
        raise ValueError(f"{folder}: expected one run {pattern}, there are {len(paths)}")
    return paths[0]


def conditions(env: Node, own_sizes: Sequence[int]) -> dict[str, Node]:
    """Return the games that a policy of some sizes plays: `env`, that of the distilled policy, changed.

    Other sizes are played as they were trained, other flicker and motion on the policy's own sizes.
    """
    games = {SIZES: env | {SIZES: sorted({*env[SIZES], *UNSEEN_SIZES})}}
    for key, values in VALUES.items():
        for value in values:
            if value != env[key]:
                games[f"{key}={value}"] = env | {SIZES: own_sizes, key: value}
    return games


def fractions_of(player: Player, env: Node, episodes: int) -> Fractions:
    """Return what a policy earns under every condition."""
    run = player.run
    own = run.config["env"]
    fractions: dict[str, dict[str, list[float]]] = {}
    for name, game in conditions(env, own.get(SIZES) or [own["size"]]).items():
        blocks = evaluate(
            game,
            player.learner,
            run.job.seeds,
            run.device,
            (),
            purpose="mode=eval",
            episodes=episodes,
            solution=exact_values(game, ()),
        )
        averages = means(blocks)
        fractions[name] = {
            f"{size}": averages[f"eval/task/size={size}/return_fraction"].tolist()
            for size in game[SIZES]
        }
    return fractions


def measure(folder: Path, episodes: int = EPISODES) -> Node:
    """Measure all policies, write held_out.json into the directory of the runs and return its content.

    What this file has is measured again only if its checkpoint is another now.
    """
    set_up(1)
    by_name = players(folder)
    env = by_name["distilled"].run.config["env"]
    terms = {"episodes": episodes, "trained": {key: env[key] for key in (SIZES, *VALUES)}}
    file = folder / "held_out.json"
    entries = measured_before(file, terms)
    measures: Node = terms | {"policies": {}}
    for name, player in by_name.items():
        entry = entries.get(name)
        if entry is not None and entry.get("checkpoint") == player.stamp:
            measures["policies"][name] = entry
            continue
        say(f"paper1: held-out tasks, {name}")
        fractions = rounded(fractions_of(player, env, episodes))
        seeds = list(player.run.job.seeds)
        measures["policies"][name] = {
            "checkpoint": player.stamp,
            "seeds": seeds,
            "fractions": fractions,
        }
        text = json.dumps(measures, indent=1) + "\n"
        write_atomically(file, lambda out, text=text: out.write(text.encode()))
    return measures


def measured_before(file: Path, terms: Node) -> Node:
    """Return the entries of held_out.json by policy, none on other terms; ValueError if it is damaged."""
    if not file.exists():
        return {}
    with advising("delete it, and all policies are measured again"):
        content = read_json(file)
        if not isinstance(content, dict) or "policies" not in content:
            raise ValueError(f"{file}: expected an object with policies")
    measures = cast(Node, content)
    return measures["policies"] if terms.items() <= measures.items() else {}


def held_out_table(measures: Node) -> str:
    """Return what `measure` has returned as three tables: sizes, flicker, motion."""
    trained = measures["trained"]
    sizes = list(map(str, trained[SIZES]))
    fractions = {name: entry["fractions"] for name, entry in measures["policies"].items()}
    teams = {name: parts for name, parts in fractions.items() if not name.startswith("specialist")}
    chance = teams.pop(RANDOM)
    teams |= {SPECIALISTS: specialists(fractions, sizes), RANDOM: chance}
    tables = [sizes_table(fractions, sizes)]
    tables += [changes_table(teams, key, trained[key], sizes) for key in VALUES]
    return "\n\n".join(tables)


def specialists(fractions: Mapping[str, Fractions], sizes: Sequence[str]) -> Fractions:
    """Return what is earned where every trained size is played by its own specialist."""
    alone = {size: fractions[specialist(int(size))] for size in sizes}
    return {
        condition: {size: alone[size][condition][size] for size in sizes}
        for condition in fractions[RANDOM]
    }


def sizes_table(fractions: Mapping[str, Fractions], trained: Sequence[str]) -> str:
    """Return what every policy earns on every size."""
    sizes = list(fractions[RANDOM][SIZES])
    head = [_marked(f"{size} x {size}", size in trained) for size in sizes]
    rows = [
        [name, *(with_worst(parts[SIZES][size], 3) for size in sizes)]
        for name, parts in fractions.items()
    ]
    return markdown([["", *head], *rows])


def changes_table(
    teams: Mapping[str, Fractions], key: str, trained: object, sizes: Sequence[str]
) -> str:
    """Return what is earned under other values of a key of the game, means over the trained sizes."""
    head = [_marked(f"`{value}`", value == trained) for value in VALUES[key]]
    names = [SIZES if value == trained else f"{key}={value}" for value in VALUES[key]]
    rows = [
        [team, *(with_worst(_over_sizes(parts[name], sizes), 3) for name in names)]
        for team, parts in teams.items()
    ]
    return markdown([[f"`env.{key}`", *head], *rows])


def page(measures: Node) -> str:
    """Return the tables with what a reader must know of them."""
    return f"""# On tasks that nobody was trained on

Made by `make paper1`. Discounted returns as parts of the exact optimum, which is that of a central controller that sees
everything: mean [95 % interval] over seeds, worst seed; {measures["episodes"]:,} episodes of each task and seed, best checkpoints.
Bold: nobody was trained on it. Other flicker and other motions are means over the sizes that were trained.

{held_out_table(measures)}
"""


def _marked(text: str, is_trained: bool) -> str:
    return text if is_trained else f"**{text}**"


def _over_sizes(parts: Mapping[str, Sequence[float]], sizes: Sequence[str]) -> list[float]:
    return [fmean(values) for values in zip(*(parts[size] for size in sizes), strict=True)]
