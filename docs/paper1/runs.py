"""The experiments of paper 1: which settings tell their runs apart, and what the paper has of each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kept import Node, Run, difference_by_seed, find, runs, values

RETURN, FRACTION = "eval/return_mean", "eval/return_fraction"
ANTICIPATED = "eval/anticipated_mean"
ALGORITHMS = {"dec_hdrqn": "Dec-HDRQN", "dec_drqn": "Dec-DRQN"}
SIZES = (3, 4, 5, 6, 7)
BETAS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
NUMBERS = (2, 3, 4)
FAITHFUL = "the target's memory as in the authors' code"


class Row(NamedTuple):
    """A run by its settings, such as `algo` and `env.size`, and the paper's number where it has one."""

    label: str
    settings: Node
    paper: str = ""


class Pair(NamedTuple):
    """Two runs that are compared seed by seed."""

    label: str
    settings: Node
    control: Node


class Task(NamedTuple):
    """One of many tasks: what each policy earns there, seed by seed, and the exact values."""

    label: str
    returns: Mapping[str, list[float] | None]
    optimum: float | None
    random: float | None


HYSTERESIS = [
    Row("Dec-HDRQN", {"algo": "dec_hdrqn"}, ".76 +- .11"),
    Row("Dec-DRQN", {"algo": "dec_drqn"}, ".05 +- .16"),
]
GROWING = [
    Row(f"{name} {size} x {size}", {"algo": algo, "env.size": size})
    for algo, name in ALGORITHMS.items()
    for size in SIZES
]
CONCURRENT = [
    Pair(
        f"{size} x {size}",
        {"env.size": size, "algo.concurrent": True},
        {"env.size": size, "algo.concurrent": False},
    )
    for size in (3, 4, 5)
]
BY_BETA = [Row(f"beta {beta}", {"algo.beta": beta}) for beta in BETAS]
# Runs of paper1_plus and paper1_plus_three are both kept below docs/results/paper1_plus.
PLUS = [
    Pair(label, game | {"algo": "dec_hdrqn_plus"}, game | {"algo": "dec_hdrqn"})
    for label, game in {
        "7 x 7": {"env.size": 7, "env.num_agents": 2},
        "8 x 8": {"env.size": 8, "env.num_agents": 2},
        "4 x 4, three agents": {"env.size": 4, "env.num_agents": 3},
    }.items()
]
PLAIN: Node = {
    "algo.beta": 0.3,
    "algo.beta_final": None,
    "algo.double_q": False,
    "algo.target_history": "matched",
    "algo.cell": "lstm",
    "algo.sizes": [32, 64, 64, 32],
    "algo.trace": 4,
    "algo.burn_in": 0,
    "algo.leniency": None,
    "algo.gamma": 0.95,
    "algo.episodes": 200,
    "algo.obs_scale": 1.0,
    "algo.target_every": 1000,
    "env.num_envs": 1,
}
IMPROVEMENTS = [
    Pair(label, PLAIN | changed, PLAIN)
    for label, changed in {
        "double Q-learning": {"algo.double_q": True},
        "beta from .2 to .4": {"algo.beta": 0.2, "algo.beta_final": 0.4},
        FAITHFUL: {"algo.target_history": "faithful"},
        "GRU": {"algo.cell": "gru"},
        "layers twice as wide": {"algo.sizes": [64, 128, 128, 64]},
        "traces of 12": {"algo.trace": 12},
        "burn-in of 16": {"algo.burn_in": 16},
        "leniency in the place of hysteresis": {"algo.beta": 1.0, "algo.leniency": 2.0},
        "a discount of .85 in learning": {"algo.gamma": 0.85},
        "a replay of 2,000 episodes": {"algo.episodes": 2000},
        "eight copies of the game": {"env.num_envs": 8},
        "observations times 4": {"algo.obs_scale": 4.0},
        "a target copied every 250 steps": {"algo.target_every": 250},
    }.items()
]
SCALING = {"joint_q": "joint learner", "dec_drqn": "Dec-DRQN", "dec_hdrqn": "Dec-HDRQN"}
STUDENTS = {"distill": "distilled", "multi_hdrqn": "Multi-HDRQN", "multi_drqn": "Multi-DRQN"}


def tasks() -> list[Task]:
    """Return the tasks of the policies for all tasks that are kept, the smallest torus first."""
    specialists, students = runs("paper1_specialists"), runs("paper1_distilled")
    sizes = sorted({size for run in students for size in run.settings["env.sizes"]})
    return [_task(size, specialists, students) for size in sizes]


def _task(size: int, specialists: Sequence[Run], students: Sequence[Run]) -> Task:
    tag = f"task/size={size}"
    returns = {"specialists": values(find(specialists, {"env.size": size}), RETURN)}
    returns |= {
        name: values(find(students, {"algo": algo}), f"eval/{tag}/return_mean")
        for algo, name in STUDENTS.items()
    }
    game: Node = students[0].record.get("exact") or {}
    return Task(f"{size} x {size}", returns, game.get(f"{tag}/optimum"), game.get(f"{tag}/random"))


def exact(among: Sequence[Run], settings: Node) -> Node:
    """Return the exact values of a kept run's game, `optimum` and `random`; none without a run."""
    run = find(among, settings)
    return {} if run is None else run.record.get("exact") or {}


def difference(among: Sequence[Run], pair: Pair, tag: str = RETURN) -> list[float] | None:
    """Return how far the two runs of a pair are apart, seed by seed."""
    return difference_by_seed(find(among, pair.settings), find(among, pair.control), tag)


def updates_per_second(run: Run | None) -> float | None:
    """Return the median speed of training, summed over seeds, where run.json tells it."""
    return None if run is None else run.record.get("perf", {}).get("perf/updates_per_s")
