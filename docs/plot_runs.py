"""Draw eval/return_mean of run directories over environment steps: mean over seeds, 95 % band."""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy import stats

from marlrun.system.plotting import EngFormatter, new_figure, save, style

TAG = "eval/return_mean"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's palette, told apart by colour-blind readers; line styles change with it."""
STYLES = ("-", "--", "-.", ":")


class Curve(NamedTuple):
    """One run: `values` [points, seeds] at `env_steps` [points]."""

    label: str
    env: str
    env_steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def band(self) -> NDArray[np.float64]:
        """Return half the width of the 95 % t interval of the mean over seeds; NaN for one seed."""
        num_seeds = self.values.shape[1]
        if num_seeds < 2:
            return np.full(len(self.values), np.nan)
        error = self.values.std(1, ddof=1) / num_seeds**0.5
        return stats.t.ppf(0.975, num_seeds - 1) * error


def read(run: Path) -> Curve:
    """Return a run's curve where all its seeds were evaluated; raises ValueError if nowhere."""
    info = json.loads((run / "run.json").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    points: dict[int, dict[int, float]] = defaultdict(dict)
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if TAG in row:
            points[row["env_steps"]][row["seed"]] = row[TAG]
    whole = {steps: at for steps, at in sorted(points.items()) if at.keys() == set(info["seeds"])}
    if not whole:
        raise ValueError(f"{run}: no {TAG} of all seeds {info['seeds']} in metrics.jsonl")
    values = np.array([[at[seed] for seed in info["seeds"]] for at in whole.values()])
    label = config.get("name") or info["algo"]
    return Curve(label, info["env"], np.array(list(whole), dtype=float), values)


def distinct(curves: list[Curve], runs: list[Path]) -> list[Curve]:
    """Return the curves with the directory's name added to labels that are not unique."""
    labels = [curve.label for curve in curves]
    return [
        curve._replace(label=f"{curve.label}, {run.name}")
        if labels.count(curve.label) > 1
        else curve
        for curve, run in zip(curves, runs, strict=True)
    ]


@style()
def draw(curves: list[Curve], lines: dict[str, float], out: Path) -> None:
    """Write the figure; `lines` are horizontal ones with their names."""
    figure = new_figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for i, curve in enumerate(curves):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        num_seeds = curve.values.shape[1]
        label = f"{curve.label} ({num_seeds} seed{'s' * (num_seeds > 1)})"
        mean, half = curve.values.mean(1), curve.band()
        axes.plot(curve.env_steps, mean, style, color=colour, label=label)
        axes.fill_between(curve.env_steps, mean - half, mean + half, color=colour, alpha=0.2, lw=0)
    for i, (name, value) in enumerate(lines.items()):
        axes.axhline(value, color="0.35", lw=1, ls=(0, (2 + 2 * i, 2)), label=f"{name} {value:.3g}")
    axes.set_xlabel("environment steps per seed")
    axes.set_ylabel("return per episode (mean over seeds, 95 % interval)", fontsize="small")
    axes.set_title(", ".join(dict.fromkeys(curve.env for curve in curves)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    save(figure, out, out.suffix.removeprefix("."), dpi=150)


def named_value(text: str) -> tuple[str, float]:
    """Read NAME=VALUE."""
    name, _, value = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=VALUE")
    return name, float(value)


def main(argv: list[str]) -> None:
    """Draw the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    parser.add_argument(
        "--reference", type=named_value, action="append", default=[], metavar="NAME=VALUE"
    )
    parser.add_argument("--paper", type=float, metavar="VALUE", help="the paper's own number")
    options = parser.parse_args(argv)
    lines: dict[str, Any] = dict(options.reference)
    if options.paper is not None:
        lines["paper"] = options.paper
    try:
        curves = [read(run) for run in options.runs]
        draw(distinct(curves, options.runs), lines, options.out)
    except (OSError, ValueError) as error:
        sys.exit(f"plot_runs: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
