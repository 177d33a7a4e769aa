"""Measure what is named; write docs/results/paper2_NAME/: a JSON file, some with a figure.

`PYTHONPATH=docs python -m paper2 fixed_point_1 fixed_point_2 consensus refuser gradient targets`
"""

import argparse
import json
import subprocess
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from paper2.consensus import consensus, draw_consensus
from paper2.fixed_point import fixed_point
from paper2.gradient import gradient
from paper2.refusal import draw_refusal, refusal
from paper2.summaries import rounded
from paper2.targets import targets

RESULTS = Path(__file__).resolve().parents[1] / "results"
PROOFS = {
    "fixed_point_1": (partial(fixed_point, "paper2_fixed_point_1"), None),
    "fixed_point_2": (partial(fixed_point, "paper2_fixed_point_2"), None),
    "consensus": (consensus, draw_consensus),
    "refuser": (refusal, draw_refusal),
    "gradient": (gradient, None),
    "targets": (targets, None),
}


def keep(name: str, steps: int | None) -> None:
    """Measure, for `steps` steps if that is said, and write docs/results/paper2_NAME/."""
    prove, draw = PROOFS[name]
    started = time.perf_counter()
    found = prove() if steps is None else prove(num_ticks=steps)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    command = f"PYTHONPATH=docs python -m paper2 {name}"
    made: dict[str, Any] = {
        "command": command if steps is None else f"{command} --steps {steps}",
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - started),
    }
    folder = RESULTS / f"paper2_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(rounded(made | found), indent=1) + "\n")
    if draw:
        draw(found, folder / f"{name}.png")


def main() -> None:
    """Measure what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m paper2", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=PROOFS, metavar="NAME", help=", ".join(PROOFS))
    parser.add_argument("--steps", type=int, help="steps of training, instead of each proof's own")
    asked = parser.parse_args()
    if asked.steps and "consensus" in asked.names:
        parser.error("--steps: consensus takes as many rounds as rho asks for")
    for name in asked.names:
        keep(name, asked.steps)


if __name__ == "__main__":
    main()
