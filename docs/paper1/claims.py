"""The cells of claims 1a to 1e in docs/results/claims.json, from the runs that are kept."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kept import Node, find, runs, values

from marlrun.runner.intervals import estimate
from paper1.runs import (
    ANTICIPATED,
    BY_BETA,
    CONCURRENT,
    GROWING,
    HYSTERESIS,
    PLUS,
    RETURN,
    Pair,
    Row,
    difference,
    tasks,
)

DIGITS = 6
"""The page of claims rounds to three significant digits; it must not round a number that was rounded."""


def claim_cell(label: str, numbers: Sequence[float], paper: str = "") -> Node:
    """Return a cell of a claim: the mean over seeds, its interval, and the worst, that is lowest, seed."""
    mean, low, high, _ = estimate(numbers)
    return {
        "cell": label,
        **({"paper": paper} if paper else {}),
        "ours": round(mean, DIGITS),
        **(
            {}
            if low is None or high is None
            else {"interval": [round(low, DIGITS), round(high, DIGITS)]}
        ),
        "worst": round(min(numbers), DIGITS),
    }


def cells_of_runs(folder: str, rows: Sequence[Row]) -> list[Node]:
    """Return a cell for each run that is kept."""
    among = runs(folder)
    measured = [(row, values(find(among, row.settings), RETURN)) for row in rows]
    return [claim_cell(row.label, numbers, row.paper) for row, numbers in measured if numbers]


def with_faithful_target(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, named as runs with the target's memory as in the authors' code."""
    return [row._replace(label=f"{row.label}, faithful target") for row in rows]


def cells_of_beta(folder: str, rows: Sequence[Row]) -> Iterator[Node]:
    """Return for each beta a cell of the actual and one of the anticipated value."""
    among = runs(folder)
    for row in rows:
        run = find(among, row.settings)
        if actual := values(run, RETURN):
            yield claim_cell(f"{row.label}, actual", actual)
        if anticipated := values(run, ANTICIPATED):
            cell = claim_cell(f"{row.label}, anticipated", anticipated)
            # No seed is bad because it anticipates little.
            yield {key: value for key, value in cell.items() if key != "worst"}


def cells_of_pairs(folder: str, pairs: Sequence[Pair], names: tuple[str, str]) -> Iterator[Node]:
    """Return for each pair a cell of either run, and one of their difference by seed."""
    for pair in pairs:
        rows = [Row(f"{pair.label}, {name}", s) for name, s in zip(names, pair[1:], strict=True)]
        yield from cells_of_runs(folder, rows)
        if numbers := difference(runs(folder), pair):
            yield claim_cell(f"{pair.label}, difference by seed", numbers)


def cells_of_tasks() -> Iterator[Node]:
    """Return for each task a cell of its specialists and of each policy for all tasks."""
    for task in tasks():
        for name, returns in task.returns.items():
            if returns:
                yield claim_cell(f"{task.label}, {name}", returns)


CELLS: dict[str, Callable[[], list[Node]]] = {
    "1a": lambda: cells_of_runs("paper1_hysteresis", HYSTERESIS),
    "1b": lambda: [
        *cells_of_runs("paper1_sizes", GROWING),
        *cells_of_runs("paper1_sizes_faithful", with_faithful_target(GROWING)),
    ],
    "1c": lambda: list(
        cells_of_pairs("paper1_concurrent", CONCURRENT, ("concurrent", "each its own"))
    ),
    "1d": lambda: [
        *cells_of_beta("paper1_beta", BY_BETA),
        *cells_of_beta("paper1_beta_faithful", with_faithful_target(BY_BETA)),
    ],
    "1e": lambda: list(cells_of_tasks()),
    "plus": lambda: list(cells_of_pairs("paper1_plus", PLUS, ("dec_hdrqn_plus", "dec_hdrqn"))),
}
"""What the cells of a claim are, by the claim's name."""


def fill_claims(path: Path) -> None:
    """Write the cells of the claims in a file that are named in CELLS; all else stays."""
    claims = json.loads(path.read_text())
    for claim in claims:
        if claim["claim"] in CELLS:
            claim["cells"] = CELLS[claim["claim"]]()
    path.write_text(json.dumps(claims, indent=1, ensure_ascii=False) + "\n")
