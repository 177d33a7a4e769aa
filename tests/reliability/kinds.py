"""The kinds of cases, and a part of one, tried in a process of its own."""

import itertools
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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


PARTS = 4
"""Parts of a kind, each with random numbers of its own, so that all cores have work."""


def try_part(index: int, seed: int, part: int, count: int) -> list[str]:
    """Return what went wrong in so many cases of a kind."""
    kind, lines = KINDS[index], list[str]()
    with tempfile.TemporaryDirectory(prefix="reliability_", ignore_cleanup_errors=True) as top:
        verdicts = kind.draw(random.Random(f"{seed}/{kind.what}/{part}"), Desk(Path(top)))
        for number, verdict in enumerate(itertools.islice(verdicts, count), start=1):
            if verdict:
                lines.append(verdict)
                sys.stderr.write(f"NOT HELD {kind.what}: {verdict}\n")
            elif number % 20 == 0 or number == count:
                sys.stderr.write(f"{kind.what}, part {part}: {number} of {count}\n")
            sys.stderr.flush()
    return lines
