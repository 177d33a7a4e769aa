"""Measure what is named from the runs that docs/results keeps; write docs/results/paper3/.

`PYTHONPATH=docs python -m paper3 tables probe`, and `teams --sweep DIR` with the directory of a
`marlrun -m +experiment=paper3_keep_away`, whose checkpoints are not kept.
"""

import argparse
import json
from pathlib import Path

from kept import RESULTS
from paper2.summaries import rounded

from paper3.probe import draw_probe, probe
from paper3.tables import tables
from paper3.teams import teams, teams_table

FOLDER = RESULTS / "paper3"


def write_tables() -> None:
    """Write the tables of all kept runs."""
    (FOLDER / "tables.md").write_text(tables())


def write_probe() -> None:
    """Write what rewards say along straight ways, and draw it."""
    found = probe()
    (FOLDER / "probe.json").write_text(json.dumps(rounded(found), indent=1) + "\n")
    draw_probe(found, FOLDER / "probe.png")


def write_teams(sweep: Path) -> None:
    """Write both sides' returns of mixed teams."""
    found = teams(sweep)
    (FOLDER / "teams.json").write_text(json.dumps(rounded(found), indent=1) + "\n")
    (FOLDER / "teams.md").write_text(f"{teams_table(found)}\n")


WRITERS = {"tables": write_tables, "probe": write_probe}


def main() -> None:
    """Write what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m paper3", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=[*WRITERS, "teams"], metavar="NAME")
    parser.add_argument("--sweep", type=Path, metavar="DIR", help="for teams: who imitated")
    asked = parser.parse_args()
    if ("teams" in asked.names) != (asked.sweep is not None):
        parser.error("teams and --sweep go together")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in asked.names:
        if name == "teams":
            write_teams(asked.sweep)
        else:
            WRITERS[name]()


if __name__ == "__main__":
    main()
