"""What `mode=runs` writes: a line for every run below a directory, or all of them as JSON."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from marlrun.runner.console import HEADLINE
from marlrun.runner.listing import Run, differences
from marlrun.system.output import write
from marlrun.system.plain import plain, printable


def write_table(runs: Sequence[Run]) -> None:
    """Write a table with a row for every run; for other programs than a terminal, without folding."""
    columns = ("status", "algo", "env", "name", "differs in", "steps", HEADLINE, "started")
    table = Table(*columns, "directory", box=None, pad_edge=False)
    for run, differing in zip(runs, differences(runs), strict=True):
        headline = run.error or str(run.headline or "")
        differs = " ".join(f"{key}={text}" for key, text in differing.items())
        started = (run.started or "")[:16].replace("T", " ")
        texts = (run.status, run.algo, run.env, run.name, differs, _steps(run), headline, started)
        table.add_row(*(Text(text or "") for text in texts), Text(printable(str(run.path))))
    screen = Console()
    (screen if screen.is_terminal else Console(width=10_000)).print(table)


def _steps(run: Run) -> str:
    if run.status == "damaged":
        return ""
    total = run.settings.get(run.unit)
    of_total = f"/{total:,}" if isinstance(total, int) and total != run.steps else ""
    unit = "" if run.unit == "env_steps" else f" {run.unit}"
    return f"{run.steps:,}{of_total}{unit}"


def write_json(runs: Sequence[Run]) -> None:
    """Write one JSON array with an object for every run."""
    objects = [
        {
            "path": str(run.path),
            "sweep": None if run.sweep is None else str(run.sweep),
            "status": run.status,
            "algo": run.algo,
            "env": run.env,
            "name": run.name,
            "differs": differing,
            "seeds": run.seeds,
            "unit": run.unit,
            "steps": run.steps,
            "headline": None if run.headline is None else run.headline._asdict(),
            "results": run.results,
            "started": run.started,
            "finished": run.finished,
            "error": run.error,
        }
        for run, differing in zip(runs, differences(runs), strict=True)
    ]
    write(json.dumps(plain(objects)))
