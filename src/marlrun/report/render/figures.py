"""The report's figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from marlrun.report.analysis import statistics
from marlrun.report.analysis.curves import Curve
from marlrun.report.analysis.references import Task
from marlrun.report.analysis.results import Comparison, Improvement
from marlrun.report.data.arrays import Bools, Floats
from marlrun.report.render.chart import (
    REFERENCES,
    Look,
    count_axis,
    decades_axis,
    legend,
    mark_levels,
    name_axes,
    panels,
    side_names,
    title,
)
from marlrun.system.plotting import Axes, Figure

Clock = Callable[[Curve], Floats]
NUM_MARKERS = 8
FEW_POINTS = 60
"""Up to so many points the edges of bands are drawn, too."""
DECADES = 3
"""Values that span more have a logarithmic axis, such as how far agents disagree."""
UNITS = ((7200.0, 3600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From so many seconds on, seconds per unit, unit."""


def learning(
    tasks: Sequence[Task], curves: Sequence[Curve], looks: Mapping[str, Look], y: str
) -> Figure:
    """Draw a panel a task: interquartile mean over seeds against environment steps."""
    x = "environment steps per seed"
    return _curves(tasks, curves, looks, lambda curve: curve.steps.astype(float), x, y)


def wall_time(
    tasks: Sequence[Task], curves: Sequence[Curve], looks: Mapping[str, Look], y: str
) -> Figure:
    """Draw the same against the wall time of the runs."""
    longest = max(float(np.nanmax(curve.seconds)) for curve in curves)
    _, per_unit, unit = next(row for row in UNITS if longest >= row[0])
    x = f"wall time [{unit}]"
    return _curves(tasks, curves, looks, lambda curve: curve.seconds / per_unit, x, y)


def _curves(
    tasks: Sequence[Task],
    curves: Sequence[Curve],
    looks: Mapping[str, Look],
    clock: Clock,
    x: str,
    y: str,
) -> Figure:
    figure, axes = panels(len(tasks), wide=True)
    for one, task in zip(axes, tasks, strict=True):
        mine = {curve.group.algorithm: curve for curve in curves if curve.group.task == task.name}
        for name, look in looks.items():
            if name in mine:
                _curve(one, mine[name], clock(mine[name]), look, name)
        _references(one, task, looks)
        if _spans_decades([mine[name].iqm for name in looks if name in mine]):
            decades_axis(one)
        title(one, task.name)
        count_axis(one)
    name_axes(figure, axes, x, f"{y}\nIQM over seeds, 95 % interval")
    legend(figure, axes)
    return figure


def _spans_decades(values: Sequence[Floats]) -> bool:
    """Say whether all are positive and some more than DECADES powers of ten above others."""
    every = np.concatenate([*values, [np.nan]])
    every = every[np.isfinite(every)]
    return bool(every.size) and 0 < every.min() * 10**DECADES < every.max()


def _curve(axes: Axes, curve: Curve, x: Floats, look: Look, name: str) -> None:
    """Draw a line with its band, dotted where seeds are missing, a cross at each gap."""
    colour, whole = look.colour, curve.is_whole
    kind: dict[str, Any] = {"color": colour, "lw": look.width}
    every = max(1, len(x) // NUM_MARKERS)
    marks = {"marker": look.marker, "markevery": (look.index * every // 8, every), "ms": 4.5}
    single = len(x) == 1
    line = curve.iqm if single else curve.iqm * whole
    axes.plot(x, line, ls=look.style, label=name, **marks, **kind)
    if np.isnan(whole).any():
        axes.plot(x, curve.iqm * _beside(np.isnan(whole)), ls=":", **kind)
    if single:
        axes.vlines(x, curve.low, curve.high, **kind)
    axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.14, lw=0)
    for edge in (curve.low, curve.high) if len(x) <= FEW_POINTS else ():
        axes.plot(x, edge, color=colour, lw=0.6, alpha=0.6)
    for gap in x[np.isnan(curve.iqm)]:
        axes.plot(gap, 0.02, "x", color=colour, ms=6, transform=axes.get_xaxis_transform())


def _beside(missing: Bools) -> Floats:
    """Return 1. where seeds are missing and at the points beside, so that lines join; else NaN."""
    wide = missing.copy()
    wide[:-1] |= missing[1:]
    wide[1:] |= missing[:-1]
    return np.where(wide, 1.0, np.nan)


def _references(axes: Axes, task: Task, looks: Mapping[str, Look]) -> None:
    """Draw exact values in grey and black, published ones in the colour of their algorithm."""
    lines: dict[str, tuple[float, str, Any]] = {
        f"{REFERENCES[name][0]} (exact)": (value, "0.35", REFERENCES[name][1])
        for name, value in task.exact.items()
        if name in REFERENCES
    }
    for one in task.published:
        drawn = [looks[name].colour for name in one.algorithms if name in looks]
        colour = drawn[0] if len(drawn) == 1 else "0.1"
        whom = one.algorithms[0] if len(one.algorithms) == 1 else one.name
        label = f"paper: {whom}"
        lines[label if label not in lines else f"{label} {one.value:.3g}"] = (
            one.value,
            colour,
            (0, (2, 1, 1, 1)),
        )
    mark_levels(axes, lines)


def profiles(comparison: Comparison, looks: Mapping[str, Look]) -> Figure:
    """Draw the share of seeds above each score, over all tasks."""
    figure, axes = panels(1)
    shown = {name: comparison.scores[name] for name in looks if name in comparison.scores}
    pooled = np.concatenate([values for scores in shown.values() for values in scores])
    low, high = float(pooled.min()), float(pooled.max())
    margin = 0.05 * (high - low) or 0.5
    thresholds = np.linspace(low - margin, high + margin, 401)
    for name, scores in shown.items():
        share, below, above = statistics.profile(scores, thresholds)
        look = looks[name]
        axes[0].step(thresholds, share, color=look.colour, ls=look.style, lw=look.width, label=name)
        axes[0].fill_between(
            thresholds, below, above, color=look.colour, alpha=0.16, lw=0, step="pre"
        )
    axes[0].set_ylim(-0.03, 1.03)
    name_axes(
        figure, axes, f"score: {comparison.unit}", "share of seeds above the score, 95 % interval"
    )
    legend(figure, axes)
    return figure


def improvements(pairs: Sequence[Improvement]) -> Figure:
    """Draw the probability that the algorithm at the left ends above the one at the right."""
    figure, (axes,) = panels(1)
    left = side_names([pair.left for pair in pairs])
    right = side_names([pair.right for pair in pairs])
    tallest = max(name.count("\n") + 1 for name in [*left, *right])
    figure.set_figheight(1.1 + max(0.36, 0.16 * tallest) * len(pairs))
    for row, pair in enumerate(reversed(pairs)):
        value, low, high = pair.probability
        if not math.isnan(low):
            axes.barh(row, high - low, left=low, height=0.55, color="#0072B2", alpha=0.35)
        axes.plot([value, value], [row - 0.3, row + 0.3], color="black", lw=2)
    axes.axvline(0.5, color="0.35", lw=1, ls=(0, (4, 2)))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.set_yticks(range(len(pairs)), left[::-1])
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(pairs)), right[::-1])
    beside.spines["right"].set_visible(False)
    axes.set_ylabel("X")
    beside.set_ylabel("Y")
    axes.grid(axis="y", alpha=0)
    axes.set_xlabel("P(X > Y): share of pairs of seeds in which X is higher, 95 % interval")
    return figure
