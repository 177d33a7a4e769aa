"""The figures of a report: learning curves, performance profiles and improvements."""

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
    LineStyle,
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
"""A curve of at most so many points shows the edges of its band, too."""
DECADES = 3
"""Values that span more powers of ten get a logarithmic axis, as distances between agents do."""
UNITS = ((7200.0, 3600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From how many seconds on a unit is used, the seconds in it, and its name."""


def learning(
    tasks: Sequence[Task], curves: Sequence[Curve], line_styles: Mapping[str, LineStyle], y: str
) -> Figure:
    """Draw a panel for each task: the interquartile mean over seeds against what the runs count.

    All tasks are of one unit.
    """
    x = "environment steps per seed" if tasks[0].unit == "env_steps" else "updates per seed"
    return _curves(tasks, curves, line_styles, lambda curve: curve.steps.astype(float), x, y)


def wall_time(
    tasks: Sequence[Task], curves: Sequence[Curve], line_styles: Mapping[str, LineStyle], y: str
) -> Figure:
    """Draw a panel for each task: the interquartile mean over seeds against wall time."""
    longest = max(float(np.nanmax(curve.seconds)) for curve in curves)
    _, per_unit, unit = next(row for row in UNITS if longest >= row[0])
    x = f"wall time [{unit}]"
    return _curves(tasks, curves, line_styles, lambda curve: curve.seconds / per_unit, x, y)


def _curves(
    tasks: Sequence[Task],
    curves: Sequence[Curve],
    line_styles: Mapping[str, LineStyle],
    clock: Clock,
    x: str,
    y: str,
) -> Figure:
    figure, axes = panels(len(tasks), wide=True)
    for panel, task in zip(axes, tasks, strict=True):
        curves_of_task = {
            curve.group.algorithm: curve for curve in curves if curve.group.task == task.name
        }
        for name, line_style in line_styles.items():
            if name in curves_of_task:
                _curve(panel, curves_of_task[name], clock(curves_of_task[name]), line_style, name)
        _references(panel, task, line_styles)
        if _spans_decades(
            [curves_of_task[name].iqm for name in line_styles if name in curves_of_task]
        ):
            decades_axis(panel)
        title(panel, task.name)
        count_axis(panel)
    name_axes(figure, axes, x, f"{y}\nIQM over seeds, 95 % interval")
    legend(figure, axes)
    return figure


def _spans_decades(values: Sequence[Floats]) -> bool:
    """Say whether all values are positive and span more than DECADES powers of ten."""
    every = np.concatenate([*values, [np.nan]])
    every = every[np.isfinite(every)]
    return bool(every.size) and 0 < every.min() * 10**DECADES < every.max()


def _curve(axes: Axes, curve: Curve, x: Floats, line_style: LineStyle, name: str) -> None:
    """Draw a line and its band; dots where seeds are missing, and a cross at each gap."""
    colour, is_whole = line_style.colour, curve.is_whole
    line_format: dict[str, Any] = {"color": colour, "lw": line_style.width}
    every = max(1, len(x) // NUM_MARKERS)
    marks = {
        "marker": line_style.marker,
        "markevery": (line_style.index * every // 8, every),
        "ms": 4.5,
    }
    is_point = len(x) == 1
    line = curve.iqm if is_point else curve.iqm * is_whole
    axes.plot(x, line, ls=line_style.dashes, label=name, **marks, **line_format)
    if np.isnan(is_whole).any():
        axes.plot(x, curve.iqm * _beside(np.isnan(is_whole)), ls=":", **line_format)
    if is_point:
        axes.vlines(x, curve.low, curve.high, **line_format)
    axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.14, lw=0)
    for edge in (curve.low, curve.high) if len(x) <= FEW_POINTS else ():
        axes.plot(x, edge, color=colour, lw=0.6, alpha=0.6)
    for gap in x[np.isnan(curve.iqm)]:
        axes.plot(gap, 0.02, "x", color=colour, ms=6, transform=axes.get_xaxis_transform())


def _beside(is_missing: Bools) -> Floats:
    """Return 1. where seeds are missing and at the points beside, so that lines join; else NaN."""
    is_near = is_missing.copy()
    is_near[:-1] |= is_missing[1:]
    is_near[1:] |= is_missing[:-1]
    return np.where(is_near, 1.0, np.nan)


def _references(axes: Axes, task: Task, line_styles: Mapping[str, LineStyle]) -> None:
    """Draw exact values in grey, and published values in the colour of their algorithm."""
    lines: dict[str, tuple[float, str, Any]] = {
        f"{REFERENCES[name][0]} (exact)": (value, "0.35", REFERENCES[name][1])
        for name, value in task.exact.items()
        if name in REFERENCES
    }
    for published in task.published:
        colours = [line_styles[name].colour for name in published.algorithms if name in line_styles]
        colour = colours[0] if len(colours) == 1 else "0.1"
        subject = published.algorithms[0] if len(published.algorithms) == 1 else published.name
        label = f"paper: {subject}"
        lines[label if label not in lines else f"{label} {published.value:.3g}"] = (
            published.value,
            colour,
            (0, (2, 1, 1, 1)),
        )
    mark_levels(axes, lines)


def profiles(comparison: Comparison, line_styles: Mapping[str, LineStyle]) -> Figure:
    """Draw the share of seeds above each score, averaged over all tasks."""
    figure, axes = panels(1)
    drawn_scores = {
        name: comparison.scores[name] for name in line_styles if name in comparison.scores
    }
    pooled = np.concatenate([values for scores in drawn_scores.values() for values in scores])
    low, high = float(pooled.min()), float(pooled.max())
    margin = 0.05 * (high - low) or 0.5
    thresholds = np.linspace(low - margin, high + margin, 401)
    for name, scores in drawn_scores.items():
        share, lower, upper = statistics.profile(scores, thresholds)
        line_style = line_styles[name]
        axes[0].step(
            thresholds,
            share,
            color=line_style.colour,
            ls=line_style.dashes,
            lw=line_style.width,
            label=name,
        )
        axes[0].fill_between(
            thresholds, lower, upper, color=line_style.colour, alpha=0.16, lw=0, step="pre"
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
