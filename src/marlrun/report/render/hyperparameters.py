"""The figures of final results over a number in which runs differ."""

from collections.abc import Mapping, Sequence

import numpy as np

from marlrun.report.analysis.sensitivity import View
from marlrun.report.data.arrays import Floats
from marlrun.report.render.chart import LineStyle, legend, name_axes, panels, title
from marlrun.system.plotting import Axes, Figure

APART = 0.012
"""The distance between points of two lines at the same value, as a share of the axis."""
LOG_FROM = 30
"""The axis is logarithmic if the largest value is so many times the smallest."""


def draw(views: Sequence[View], line_styles: Mapping[str, LineStyle], y: str) -> Figure:
    """Draw a panel for each view; all views are of one key."""
    figure, axes = panels(len(views))
    for panel, view in zip(axes, views, strict=True):
        values = view.values
        if values[0] > 0 and values[-1] / values[0] >= LOG_FROM:
            panel.set_xscale("log")
        _optimum(panel, view)
        names = [name for name in line_styles if name in view.lines]
        for i, name in enumerate(names):
            _line(panel, view, line_styles[name], name, i - (len(names) - 1) / 2)
        panel.set_xticks(values[:: -(-len(values) // 6)], minor=False)
        panel.minorticks_off()
        panel.xaxis.set_major_formatter("{x:g}")
        panel.margins(x=0.12)
        title(panel, view.task)
    name_axes(figure, axes, views[0].key, f"{y}\nfinal IQM over seeds, 95 % interval")
    legend(figure, axes)
    return figure


def _line(axes: Axes, view: View, line_style: LineStyle, name: str, offset: float) -> None:
    line = view.lines[name]
    values = sorted(line)
    points = np.array([line[value].iqm for value in values])
    below, above = points[:, 0] - points[:, 1], points[:, 2] - points[:, 0]
    errors = np.maximum([below, above], 0)
    axes.errorbar(
        _shifted(axes, view, values, offset),
        points[:, 0],
        errors,
        color=line_style.colour,
        ls=line_style.dashes,
        lw=line_style.width,
        elinewidth=1.4,
        marker=line_style.marker,
        ms=5,
        capsize=3,
        label=name,
    )


def _shifted(axes: Axes, view: View, values: Sequence[float], offset: float) -> Floats:
    """Return values moved along the axis, so that points of several lines stand side by side."""
    low, high = view.values[0], view.values[-1]
    share = APART * offset
    if axes.get_xscale() == "log":
        return np.array(values) * (high / low) ** share
    return np.array(values) + (high - low) * share


def _optimum(axes: Axes, view: View) -> None:
    """Draw the exact optimum at each value, if it is known at all of them."""
    tasks = [(value, final.task) for line in view.lines.values() for value, final in line.items()]
    optima = {value: task.exact["optimum"] for value, task in tasks if "optimum" in task.exact}
    heights = [optima[value] for value in view.values if value in optima]
    if len(heights) == len(view.values):
        axes.plot(
            view.values,
            heights,
            color="0.35",
            lw=4,
            alpha=0.4,
            ls=(0, (8, 2)),
            label="optimum (exact)",
        )
