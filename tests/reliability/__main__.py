"""Try every kind of accident so many times, and write down how many held.

PYTHONPATH=tests python -m reliability --seed 1 --out docs/reliability.md
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from marlrun.runner.documents import git_commit
from reliability.kinds import KINDS, PARTS, Kind, try_part


def main() -> int:
    """Try everything; return 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="of the cases")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases of each kind")
    parser.add_argument("--only", default="", help="kinds whose description holds this")
    parser.add_argument("--out", type=Path, help="where the table goes, beside standard output")
    options = parser.parse_args()
    began, commit = time.monotonic(), git_commit() or "no commit"
    kinds = [kind for kind in KINDS if options.only in kind.what]
    counts = [max(1, round(kind.times * options.share)) for kind in kinds]
    parts = [
        (KINDS.index(kind), options.seed, part, len(range(part, count, PARTS)))
        for kind, count in zip(kinds, counts, strict=True)
        for part in range(min(PARTS, count))
    ]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        failed = list(workers.map(try_part, *zip(*parts, strict=True)))
    bad = {kind.what: 0 for kind in kinds}
    failures: list[str] = []
    for (index, *_), lines in zip(parts, failed, strict=True):
        bad[KINDS[index].what] += len(lines)
        failures += [f"{KINDS[index].what}: {line}" for line in lines]
    rows = [
        (kind, count, count - bad[kind.what]) for kind, count in zip(kinds, counts, strict=True)
    ]
    text = _table(options.seed, commit, rows, failures, time.monotonic() - began)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)
    return 1 if failures else 0


def _table(
    seed: int, commit: str, rows: list[tuple[Kind, int, int]], failures: list[str], seconds: float
) -> str:
    head = ["kind", "expected", "tried", "held"]
    lines = [head, ["---"] * 4]
    lines += [[kind.what, kind.expected, str(tried), str(held)] for kind, tried, held in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    made = f"`make reliability SEED={seed}` at `{commit[:9]}`"
    when = f"{datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes"
    listed = "".join(f"- {line}\n" for line in failures)
    return (
        "# Reliability\n\nCases are drawn by a seeded generator from the keys of conf/ and the files of "
        "a run (tests/reliability);\nfor none a traceback, a hang, a file outside or another number is "
        f"allowed.\n\nMade by {made}, {when}.\n\n{table}\n\n{listed or 'All held.' + chr(10)}"
    )


if __name__ == "__main__":
    sys.exit(main())
