"""Try every kind of accident so many times, and write down how many held.

PYTHONPATH=tests python -m reliability --seed 1 --out docs/reliability.md
"""

import argparse
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from marlrun.runner.rundir import git_commit
from reliability import damage, interruptions, typed
from reliability.desk import Desk


@dataclass(frozen=True)
class Kind:
    """A kind of case: what happens, what is expected, and how often it is tried."""

    what: str
    expected: str
    draw: Callable[[random.Random, Desk], Iterator[str | None]]
    times: int


SAME = "resumed, the same run bit for bit"
KINDS = [
    Kind(
        "SIGKILL at random file events and moments: runs, extensions",
        SAME,
        interruptions.kills,
        240,
    ),
    Kind("SIGKILL at random file events and moments: sweeps", SAME, interruptions.sweep_kills, 60),
    Kind("SIGINT, SIGTERM, SIGHUP at random moments", f"130, {SAME}", interruptions.signals, 60),
    Kind(
        "disk full from a random file event on",
        f"1, the reason, {SAME}",
        interruptions.full_disks,
        60,
    ),
    Kind(
        "damaged files of runs", "the same run, or one line and no change", damage.damaged_runs, 360
    ),
    Kind(
        "damaged files of sweeps",
        "the same jobs, or one line and no change",
        damage.damaged_sweeps,
        90,
    ),
    Kind("links in runs and sweeps", "what they lead to stays as it is", damage.links, 120),
    Kind("wrong input", "2, one line, nothing is made", typed.wrong_input, 700),
    Kind("hostile names", "it works, or 2 and one line", typed.hostile_names, 80),
    Kind("streams that go away", "0, the same run", typed.streams, 40),
]


def main() -> int:
    """Try everything; return 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="of the cases")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases of each kind")
    parser.add_argument("--only", default="", help="kinds whose description holds this")
    parser.add_argument("--out", type=Path, help="where the table goes, beside standard output")
    options = parser.parse_args()
    top, began = Path(tempfile.mkdtemp(prefix="reliability_")), time.monotonic()
    rows: list[tuple[Kind, int, int]] = []
    failures: list[str] = []
    for kind in (kind for kind in KINDS if options.only in kind.what):
        tried = max(1, round(kind.times * options.share))
        bad = list(_failures(kind, options.seed, tried, top))
        rows.append((kind, tried, tried - len(bad)))
        failures += [f"{kind.what}: {line}" for line in bad]
    shutil.rmtree(top, ignore_errors=True)
    text = _table(options.seed, rows, failures, time.monotonic() - began)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)
    return 1 if failures else 0


def _failures(kind: Kind, seed: int, tried: int, top: Path) -> Iterator[str]:
    """Yield what went wrong, case by case."""
    verdicts = kind.draw(
        random.Random(f"{seed}/{kind.what}"), Desk(top / f"{os.getpid()}_{id(kind)}")
    )
    for number, verdict in enumerate(itertools.islice(verdicts, tried), start=1):
        if verdict:
            sys.stderr.write(f"NOT HELD {kind.what} #{number}: {verdict}\n")
            yield verdict
        elif number % 20 == 0:
            sys.stderr.write(f"{kind.what}: {number} of {tried}\n")
        sys.stderr.flush()


def _table(
    seed: int, rows: list[tuple[Kind, int, int]], failures: list[str], seconds: float
) -> str:
    head = ["kind", "expected", "tried", "held"]
    lines = [head, ["---"] * 4]
    lines += [[kind.what, kind.expected, str(tried), str(held)] for kind, tried, held in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    made = f"`make reliability SEED={seed}` at `{(git_commit() or 'no commit')[:9]}`"
    when = f"{datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes"
    listed = "".join(f"- {line}\n" for line in failures)
    return (
        "# Reliability\n\nCases are drawn by a seeded generator from the keys of conf/ and the files of "
        "a run (tests/reliability);\nfor none a traceback, a hang, a file outside or another number is "
        f"allowed.\n\nMade by {made}, {when}.\n\n{table}\n\n{listed or 'All held.' + chr(10)}"
    )


if __name__ == "__main__":
    sys.exit(main())
