"""`python -m benchmarks [--only ab] [--quick] [--out FILE]`: a table on stdout, and JSON."""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.parts import PARTS, Row
from benchmarks.timing import Effort
from marlrun.runner.device import describe, set_up
from marlrun.runner.documents import git_commit, now

FULL, QUICK = Effort(rounds=21, seconds=0.2), Effort(rounds=3, seconds=0.02)


def machine() -> dict[str, Any]:
    """Describe where the numbers come from."""
    has_gpu = torch.cuda.is_available()
    return {
        "date": now(),
        "git": git_commit(),
        "cpu": _cpu_model(),
        "gpu": describe(torch.device("cuda")) if has_gpu else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "clock": "wall" if has_gpu else "CPU time of the process",
    }


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="".join(PARTS), help="parts, e.g. ab (default: all)")
    parser.add_argument("--quick", action="store_true", help="a rough look in seconds")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench.json"))
    options = parser.parse_args()
    if unknown := set(options.only) - set(PARTS):
        parser.error(
            f"--only={options.only}: no part {min(unknown)}, expected some of {''.join(PARTS)}"
        )
    set_up(threads=1)
    report: dict[str, Any] = {"machine": machine(), "quick": options.quick}
    console = Console(width=100)
    console.print_json(data=report["machine"])
    for name, measure in PARTS.items():
        if name in options.only:
            rows = measure(QUICK if options.quick else FULL)
            report[name] = {"what": measure.__doc__, "rows": rows}
            console.print(_table(f"({name}) {measure.__doc__}", rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"written to {options.out}")


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        is_text = isinstance(rows[0][column], str)
        table.add_column(column.replace("_", " "), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


main()
