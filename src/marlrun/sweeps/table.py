"""Writes a table of the jobs of a sweep to stdout."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from marlrun.runner.console import HEADLINE
from marlrun.runner.intervals import estimate
from marlrun.sweeps.directory import Sweep
from marlrun.system import commands
from marlrun.system.output import write


def write_sweep(sweep: Sweep, plugins: Sequence[str]) -> None:
    """Write the status, directory and result of every job, failures first, and how to go on.

    Overrides that all jobs share are left out. `plugins` are those of the command line.
    """
    jobs = sorted(sweep.read().jobs, key=lambda job: (job.status == "finished", job.number))
    common = set[str]().union(*(job.overrides for job in jobs)) if len(jobs) > 1 else set[str]()
    for job in jobs:
        common.intersection_update(job.overrides)
    table = Table("status", "directory", "overrides", HEADLINE, box=None, pad_edge=False)
    for job in jobs:
        returns = job.results.get(HEADLINE)
        result = job.error or (str(estimate(returns)) if returns else "")
        directory = str(sweep.directory / job.directory)
        differing = (override for override in job.overrides if override not in common)
        overrides = " ".join(override.removeprefix("++") for override in differing)
        table.add_row(*map(Text, (job.status, directory, overrides, result)))
    # Other programs read whole lines, so only a terminal gets them folded.
    screen = Console()
    (screen if screen.is_terminal else Console(width=10_000)).print(table)
    counts = Counter(job.status for job in jobs)
    total = f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}"
    write(f"{total}: {', '.join(f'{n} {status}' for status, n in counts.items())}")
    if counts["finished"] < len(jobs):
        write(f"to go on: {commands.resume(sweep.directory, plugins)}")
