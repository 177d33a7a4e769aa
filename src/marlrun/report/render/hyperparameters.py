"""The figure of results over a number that was varied."""

from collections.abc import Mapping, Sequence

import numpy as np

from marlrun.report.analysis.sensitivity import View
from marlrun.report.data.arrays import Floats
from marlrun.report.render.chart import Look, legend, name_axes, panels, title
from marlrun.system.plotting import Axes, Figure

APART = 0.012
"""Share of the axis between the points of two lines at the same value."""
LOG_FROM = 30
"""Values so many times apart are drawn on a logarithmic axis."""


def draw(shown: Sequence[View], looks: Mapping[str, Look], y: str) -> Figure:
    """Draw a panel a view; all are of one key."""
    figure, axes = panels(len(shown))
    for one, view in zip(axes, shown, strict=True):
        values = view.values
        if values[0] > 0 and values[-1] / values[0] >= LOG_FROM:
            one.set_xscale("log")
        _optimum(one, view)
        names = [name for name in looks if name in view.lines]
        for i, name in enumerate(names):
            _line(one, view, looks[name], name, i - (len(names) - 1) / 2)
        one.set_xticks(values[:: -(-len(values) // 6)], minor=False)
        one.minorticks_off()
        one.xaxis.set_major_formatter("{x:g}")
        one.margins(x=0.12)
        title(one, view.task)
    name_axes(figure, axes, shown[0].key, f"{y}\nfinal IQM over seeds, 95 % interval")
    legend(figure, axes)
    return figure


def _line(axes: Axes, view: View, look: Look, name: str, place: float) -> None:
    line = view.lines[name]
    values = sorted(line)
    points = np.array([line[value].iqm for value in values])
    below, above = points[:, 0] - points[:, 1], points[:, 2] - points[:, 0]
    errors = np.maximum([below, above], 0)
    axes.errorbar(
        _beside(axes, view, values, place),
        points[:, 0],
        errors,
        color=look.colour,
        ls=look.style,
        lw=look.width,
        elinewidth=1.4,
        marker=look.marker,
        ms=5,
        capsize=3,
        label=name,
    )


def _beside(axes: Axes, view: View, values: Sequence[float], place: float) -> Floats:
    """Return where to draw a line's points so that another's do not hide them."""
    low, high = view.values[0], view.values[-1]
    share = APART * place
    if axes.get_xscale() == "log":
        return np.array(values) * (high / low) ** share
    return np.array(values) + (high - low) * share


def _optimum(axes: Axes, view: View) -> None:
    """Draw the exact optimum at each value, where it is known at all of them."""
    found = [item for line in view.lines.values() for item in line.items()]
    best = {v: f.task.exact["optimum"] for v, f in found if "optimum" in f.task.exact}
    known = [best[value] for value in view.values if value in best]
    if len(known) == len(view.values):
        axes.plot(
            view.values,
            known,
            color="0.35",
            lw=4,
            alpha=0.4,
            ls=(0, (8, 2)),
            label="optimum (exact)",
        )
