"""Compare runs seed by seed: the mean difference of a result with its 95 % interval.

Runs are paired that differ in `--key` only. Replicas of the same seed play with the same luck, so a
difference is told much sooner than from two means. `--scale A-B` also gives it as a part of the
distance of two exact values of the game, `--scale NUMBER` of a number that was measured elsewhere.

    python docs/paired.py docs/results/paper2_public_goods --key algo.mixing.communication --against central
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from marlrun.config.older import current
from marlrun.report.analysis.groups import is_compared
from marlrun.report.data.read import Run
from marlrun.runner.intervals import Estimate, estimate

RETURN = "eval/return_mean"


def read(top: Path) -> list[Run]:
    """Return the finished runs below a directory; ValueError if there is none."""
    records = {path.parent: json.loads(path.read_text()) for path in sorted(top.rglob("run.json"))}
    runs = [
        Run(str(place), current(yaml.safe_load((place / "config.yaml").read_text())), record)
        for place, record in records.items()
        if record["status"] == "finished"
    ]
    if not runs:
        raise ValueError(f"{top}: expected finished runs in or below it")
    return runs


def pairs(runs: list[Run], key: str, against: str) -> list[tuple[Run, Run]]:
    """Return (run, the one of `against` that is like it but for `key`)."""
    alike: dict[str, dict[str, Run]] = defaultdict(dict)
    for run in runs:
        rest = {k: v for k, v in run.settings.items() if is_compared(k) and k != key}
        alike[json.dumps(rest, sort_keys=True)][str(run.settings.get(key))] = run
    found = [
        (run, some[against])
        for some in alike.values()
        for value, run in some.items()
        if against in some and value != against
    ]
    if not found:
        raise ValueError(f"--key {key} --against {against}: no two runs differ in this only")
    return found


def difference(run: Run, other: Run, metric: str) -> Estimate:
    """Return the mean of run - other over the seeds that both have."""
    ours, theirs = (
        dict(zip(one.record["seeds"], one.record["results"][metric], strict=True))
        for one in (run, other)
    )
    return estimate([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def distance(run: Run, scale: str) -> float:
    """Return a number as it is, or the distance of two exact values "A-B"; NaN where there are none.

    ValueError unless the number is finite and above 0.
    """
    try:
        number = float(scale)
    except ValueError:
        if scale.count("-") != 1:
            raise ValueError(f"--scale {scale}: expected A-B, or a number above 0") from None
    else:
        if not 0 < number < np.inf:
            raise ValueError(f"--scale {scale}: expected a number above 0")
        return number
    high, low = ((run.record.get("exact") or {}).get(name, np.nan) for name in scale.split("-"))
    return high - low


def table(found: list[tuple[Run, Run]], key: str, metric: str, scale: str | None) -> str:
    """Return a Markdown table, a row a pair."""
    told = [k for k in found[0][0].settings if len({str(a.settings.get(k)) for a, _ in found}) > 1]
    told = [k for k in told if is_compared(k) and k != key]
    head = [*told, f"{key}, difference", "seeds", metric, "part of the scale"]
    rows: list[list[Any]] = []
    for run, other in found:
        apart = difference(run, other, metric)
        part = "" if scale is None else _part(apart, distance(run, scale))
        what = f"{run.settings[key]} - {other.settings[key]}"
        shown = f"{apart.mean:.4f} [{apart.low:.4f}, {apart.high:.4f}]"
        rows.append([*(run.settings.get(k) for k in told), what, apart.num_values, shown, part])
    lines = [head, ["---"] * len(head), *sorted(rows, key=str)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _part(apart: Estimate, whole: float) -> str:
    mean, low, high = (100 * x / whole for x in (apart.mean, apart.low, apart.high))
    return "" if np.isnan(whole) else f"{mean:.2f} % [{low:.2f}, {high:.2f}]"


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, metavar="DIR", help="above the run directories")
    parser.add_argument("--key", required=True, help="the key in which runs of a pair differ")
    parser.add_argument("--against", required=True, help="the value others are compared with")
    parser.add_argument("--metric", default=RETURN, help="default: %(default)s")
    parser.add_argument("--scale", metavar="A-B", help="exact values, optimum-selfish, or a number")
    options = parser.parse_args(argv)
    try:
        found = pairs(read(options.runs), options.key, options.against)
        sys.stdout.write(f"{table(found, options.key, options.metric, options.scale)}\n")
    except (OSError, ValueError) as error:
        sys.exit(f"paired: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
