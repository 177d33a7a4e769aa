"""Write what is named from the runs that docs/results keeps: `PYTHONPATH=docs python -m paper1 tables figures claims`.

`tables` and `figures` go to docs/results/paper1/; `claims` fills the cells of the claims in
docs/results/claims.json, of which `make claims` makes a page.
"""

import argparse

from kept import RESULTS

from paper1.claims import fill_claims
from paper1.figures import draw_figures
from paper1.tables import tables

FOLDER = RESULTS / "paper1"


def write_tables() -> None:
    """Write the tables of all kept runs."""
    (FOLDER / "tables.md").write_text(tables())


WRITERS = {
    "tables": write_tables,
    "figures": lambda: draw_figures(FOLDER),
    "claims": lambda: fill_claims(RESULTS / "claims.json"),
}


def main() -> None:
    """Write what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m paper1", description=__doc__)
    parser.add_argument("names", nargs="+", choices=WRITERS, metavar="NAME")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        WRITERS[name]()


if __name__ == "__main__":
    main()
