"""Keep what a finished run shows: copy run.json, config.yaml and metrics.jsonl to docs/results/NAME.

Where the run was put (`hydra.run.dir`) and where its inputs lay are left out. Of the measures of the machine, `perf/*`,
only the medians of speeds are kept, in run.json. Rows of training are thinned if the file would be
large; rows of evaluation all stay. With `--checkpoint`
the newest checkpoint is kept as well, as far as mode=eval and mode=demonstrate need it; with `--reward`
the recovered reward.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch

from marlrun.config.unit import unit_of
from marlrun.runner.checkpoint import NEWEST, Checkpoints

RESULTS = Path(__file__).resolve().parent / "results"
MAX_BYTES = 100_000


def slim(rows: list[dict[str, Any]], max_bytes: int = MAX_BYTES) -> list[str]:
    """Return the rows as lines without `perf/*`; of those without evaluation keep every n-th step.

    n is the smallest power of two with which all lines take at most `max_bytes`, up to 1024.
    """
    rows = [{key: v for key, v in row.items() if not key.startswith("perf/")} for row in rows]
    rows = [row for row in rows if row.keys() - {"env_steps", "updates", "seed"}]
    plain = sorted({row[unit_of(row)] for row in rows if not _is_eval(row)})
    lines: list[str] = []
    for n in (2**k for k in range(11)):
        kept = set(plain[::n])
        lines = [json.dumps(row) for row in rows if _is_eval(row) or row[unit_of(row)] in kept]
        if sum(len(line) + 1 for line in lines) <= max_bytes:
            break
    return lines


def speeds(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median of each speed of training, which other work on the machine changes least."""
    by_tag: dict[str, list[float]] = {}
    for row in rows:
        for tag in row:
            if tag.startswith("perf/") and tag.endswith("_per_s"):
                by_tag.setdefault(tag, []).append(row[tag])
    return {tag: round(median(values), 1) for tag, values in by_tag.items()}


def keep(run: Path, results: Path) -> None:
    """Copy `run` to the new directory `results`; raises ValueError if it is not finished."""
    record = json.loads((run / "run.json").read_text())
    if record.get("status") != "finished":
        raise ValueError(f"{run}: its status is {record.get('status')!r}, expected a finished run")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    results.mkdir(parents=True)
    shutil.copyfile(run / "config.yaml", results / "config.yaml")
    record["argv"] = [word for word in record["argv"] if not word.startswith("hydra.run.dir=")]
    inputs = record.get("inputs") or {}
    record["inputs"] = {kept: Path(source).name for kept, source in inputs.items()}
    record["perf"] = speeds(rows)
    (results / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    (results / "metrics.jsonl").write_text("".join(f"{line}\n" for line in slim(rows)))


def keep_checkpoint(run: Path, results: Path) -> None:
    """Keep a PPO run's newest checkpoint without what only more training needs.

    That is the rollout so far, and the moments of Adam, in whose place zeros stand.
    """
    path = Checkpoints(run).named(NEWEST)
    state = torch.load(path, weights_only=True)
    learner = state["learner"] | {"rollout": {}}
    for moments in learner["optimisers"].values():
        for name in ("first", "second"):
            # One zero, seen as many.
            moments[name] = torch.zeros(()).expand_as(moments[name])
    unit = unit_of(state)
    kept = {"format": state["format"], unit: state[unit], "learner": learner}
    (results / "checkpoints").mkdir()
    torch.save(kept, results / "checkpoints" / path.name)


def main(argv: list[str]) -> None:
    """Keep one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="DIR", help="the run directory")
    parser.add_argument("--as", dest="name", required=True, metavar="NAME")
    parser.add_argument("--checkpoint", action="store_true", help="keep the newest, too")
    parser.add_argument("--reward", action="store_true", help="keep reward.pt, too")
    options = parser.parse_args(argv)
    try:
        keep(options.run, RESULTS / options.name)
        if options.reward:
            shutil.copyfile(options.run / "reward.pt", RESULTS / options.name / "reward.pt")
        if options.checkpoint:
            keep_checkpoint(options.run, RESULTS / options.name)
    except (OSError, ValueError) as error:
        sys.exit(f"keep_run: {error}")


def _is_eval(row: dict[str, Any]) -> bool:
    return any(key.startswith("eval/") for key in row)


if __name__ == "__main__":
    main(sys.argv[1:])
