"""Tables of claims 1a to 1e, improvements and scaling from the runs that docs/results keeps."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from kept import Run, by_seed, cell, during, find, markdown, runs, values, with_worst

from paper1.runs import (
    ANTICIPATED,
    BY_BETA,
    CONCURRENT,
    FAITHFUL,
    FRACTION,
    GROWING,
    HYSTERESIS,
    IMPROVEMENTS,
    NUMBERS,
    PLUS,
    RETURN,
    SCALING,
    STUDENTS,
    Pair,
    Row,
    difference,
    exact,
    tasks,
    updates_per_second,
)

DIGITS = 3
POINTS = (100_000, 200_000, 350_000)


def table_of_runs(folder: str, rows: Sequence[Row]) -> str:
    """Return what each run earns, beside the optimum and what the agents themselves anticipate."""
    among = runs(folder)
    head = ["", "return, worst seed", "part of the optimum", "seeds above half of it"]
    lines = [[*head, "anticipated value", "optimum", "random play", "paper"]]
    for row in rows:
        run = find(among, row.settings)
        game = exact(among, row.settings)
        lines.append(
            [
                row.label,
                with_worst(values(run, RETURN), DIGITS),
                cell(values(run, FRACTION), DIGITS),
                _how_many(values(run, FRACTION), lambda fraction: fraction > 0.5),
                cell(values(run, ANTICIPATED), DIGITS),
                _number(game.get("optimum")),
                _number(game.get("random")),
                row.paper,
            ]
        )
    return markdown(lines)


def table_of_pairs(folder: str, pairs: Sequence[Pair], names: tuple[str, str]) -> str:
    """Return what both runs of each pair earn, and how far they are apart, seed by seed."""
    among = runs(folder)
    head = ["return, worst seed", *names, "difference by seed"]
    lines = [[*head, "seeds with a difference above 0", "optimum"]]
    for pair in pairs:
        run, control = find(among, pair.settings), find(among, pair.control)
        differences = difference(among, pair)
        lines.append(
            [
                pair.label,
                with_worst(values(run, RETURN), DIGITS),
                with_worst(values(control, RETURN), DIGITS),
                cell(differences, DIGITS),
                _how_many(differences, lambda value: value > 0),
                _number(exact(among, pair.settings).get("optimum")),
            ]
        )
    return markdown(lines)


def anticipation_table(folder: str) -> str:
    """Claim 1d at the end: what agents get, what they anticipate, and the gap between."""
    among = runs(folder)
    head = ["", "actual value, worst seed", "anticipated value", "gap by seed", "median gap"]
    counts = [
        "seeds that anticipate more than 1",
        "evaluations that anticipate at least the actual value",
    ]
    lines = [[*head, *counts]]
    for row in BY_BETA:
        run = find(among, row.settings)
        last = gaps(run)
        lines.append(
            [
                row.label,
                with_worst(values(run, RETURN), DIGITS),
                cell(values(run, ANTICIPATED), DIGITS),
                cell(last, DIGITS),
                _number(median(last) if last else None),
                _how_many(values(run, ANTICIPATED), lambda value: value > 1),
                _how_many(gaps_over_training(run), lambda value: value >= 0),
            ]
        )
    return markdown(lines)


def gaps(run: Run | None) -> list[float] | None:
    """Return anticipated - actual value at the end, seed by seed."""
    actual, anticipated = by_seed(run, RETURN), by_seed(run, ANTICIPATED)
    return [anticipated[seed] - actual[seed] for seed in actual] or None


def gaps_over_training(run: Run | None) -> list[float] | None:
    """Return the same for every evaluation of every seed."""
    if run is None:
        return None
    actual, anticipated = (during(run.name, tag) for tag in (RETURN, ANTICIPATED))
    pairs = [zip(anticipated[step], actual[step], strict=True) for step in actual]
    return [high - low for at_step in pairs for high, low in at_step]


def anticipation_over_training_table(folder: str) -> str:
    """Claim 1d over training: actual / anticipated value after so many steps."""
    among = runs(folder)
    lines = [["actual / anticipated value after", *(f"{point:,} steps" for point in POINTS)]]
    for row in BY_BETA:
        if run := find(among, row.settings):
            both = [during(run.name, tag) for tag in (RETURN, ANTICIPATED)]
            cells = [[cell(_near(at, point), DIGITS) for at in both] for point in POINTS]
            lines.append([row.label, *(" / ".join(pair) for pair in cells)])
    return markdown(lines)


def distillation_table() -> str:
    """Claim 1e: on each task what its specialist earns and what one policy for all tasks does."""
    lines = [["return, worst seed", "specialists", *STUDENTS.values(), "optimum", "random play"]]
    for task in tasks():
        cells = [with_worst(returns, DIGITS) for returns in task.returns.values()]
        lines.append([task.label, *cells, _number(task.optimum), _number(task.random)])
    return markdown(lines)


def scaling_table() -> str:
    """Return what learners earn and how many updates a second they make, against the number of agents."""
    among = runs("paper1_scaling")
    lines = [["part of the optimum, worst seed; updates per second", *SCALING.values()]]
    for number in NUMBERS:
        line = [f"{number} agents"]
        for algo in SCALING:
            run = find(among, {"algo": algo, "env.num_agents": number})
            line.append(f"{with_worst(values(run, FRACTION), DIGITS)}; {_speed(run)}")
        lines.append(line)
    return markdown(lines)


class Table(NamedTuple):
    """A table, the experiments whose kept runs it needs, and what makes them."""

    title: str
    folders: Sequence[str]
    make: Callable[[], str]
    command: str = ""


TABLES = [
    Table(
        "1a: MAST, 8 x 8, no flicker",
        ["paper1_hysteresis"],
        lambda: table_of_runs("paper1_hysteresis", HYSTERESIS),
    ),
    Table(
        "1b: MAMT, flicker .3, growing grids",
        ["paper1_sizes"],
        lambda: table_of_runs("paper1_sizes", GROWING),
    ),
    Table(
        f"1b: the same with {FAITHFUL}",
        ["paper1_sizes_faithful"],
        lambda: table_of_runs("paper1_sizes_faithful", GROWING),
        "marlrun -m +experiment=paper1_sizes algo.target_history=faithful",
    ),
    Table(
        "1c: one minibatch for all agents (concurrent), or each agent its own",
        ["paper1_concurrent"],
        lambda: table_of_pairs("paper1_concurrent", CONCURRENT, ("concurrent", "each its own")),
    ),
    Table(
        "1d: beta, 6 x 6, flicker .25, at the end",
        ["paper1_beta"],
        lambda: anticipation_table("paper1_beta"),
    ),
    Table(
        "1d: beta, over training",
        ["paper1_beta"],
        lambda: anticipation_over_training_table("paper1_beta"),
    ),
    Table(
        f"1d: beta at the end with {FAITHFUL}",
        ["paper1_beta_faithful"],
        lambda: anticipation_table("paper1_beta_faithful"),
        "marlrun -m +experiment=paper1_beta algo.target_history=faithful",
    ),
    Table(
        f"1d: beta over training with {FAITHFUL}",
        ["paper1_beta_faithful"],
        lambda: anticipation_over_training_table("paper1_beta_faithful"),
        "marlrun -m +experiment=paper1_beta algo.target_history=faithful",
    ),
    Table(
        "1e: specialists, and one policy for all tasks",
        ["paper1_specialists", "paper1_distilled"],
        distillation_table,
        "make paper1",
    ),
    Table(
        "Dec-HDRQN with settings of ours",
        ["paper1_plus"],
        lambda: table_of_pairs("paper1_plus", PLUS, ("dec_hdrqn_plus", "dec_hdrqn")),
    ),
    Table(
        "Improvements of Dec-HDRQN, one at a time",
        ["paper1_improvements"],
        lambda: table_of_pairs("paper1_improvements", IMPROVEMENTS, ("changed", "plain")),
    ),
    Table("A joint learner beside independent ones, MAST 3 x 3", ["paper1_scaling"], scaling_table),
]


def sections() -> Iterator[str]:
    """Return the page, part by part."""
    yield "# Paper 1's tables\n\nMade by `PYTHONPATH=docs python -m paper1 tables` from the runs beside it."
    for table in TABLES:
        command = table.command or f"marlrun -m +experiment={table.folders[0]}"
        is_run = all(runs(folder) for folder in table.folders)
        yield f"## {table.title}\n\n{table.make() if is_run else f'Not run yet: `{command}`.'}"


def tables() -> str:
    """Return the page."""
    return "\n\n".join(sections()) + "\n"


def _how_many(numbers: Sequence[float] | None, are: Callable[[float], bool]) -> str:
    return f"{sum(map(are, numbers))} of {len(numbers)}" if numbers else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.{DIGITS}f}"


def _speed(run: Run | None) -> str:
    speed = updates_per_second(run)
    return "-" if speed is None else f"{speed:,.0f}"


def _near(at: dict[int, list[float]], point: int) -> list[float]:
    return at[min(at, key=lambda step: abs(step - point))]
