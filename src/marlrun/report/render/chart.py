"""What all figures share: style, panels, legends and files."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from marlrun.system.plotting import (
    Axes,
    EngFormatter,
    Figure,
    MaxNLocator,
    NullFormatter,
    new_figure,
    save,
)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""The palette of Okabe and Ito, with a brown in the place of its yellow, which white hides."""
STYLES = ("-", (0, (5, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)))
MARKERS = "os^DvPX*"
MAX_LINES = len(COLOURS)
REFERENCES = {
    "optimum": ("optimum", (0, (8, 2))),
    "random": ("random", (0, (1, 2))),
    "selfish": ("selfish equilibrium", (0, (4, 2, 1, 2))),
}
"""Exact values: the name in the legend and the dashes of the line."""
_BESIDE, _ALONG = 28, 80
"""How many characters fit into a line beside a panel, and into a line along an axis."""
_MOST_LINES = 8
"""How many lines of a long name stand in a figure."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",
    "path.simplify_threshold": 0.5,
}


@dataclass(frozen=True)
class LineStyle:
    """How an algorithm is drawn in all figures; later lines are thinner, so that none is hidden."""

    index: int
    colour: str
    dashes: Any
    marker: str
    width: float


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Return a line style for each of the first MAX_LINES names; the others are not drawn."""
    return {name: _line_style(i) for i, name in enumerate(names[:MAX_LINES])}


def _line_style(i: int) -> LineStyle:
    return LineStyle(i, COLOURS[i], STYLES[i % len(STYLES)], MARKERS[i], 2.2 - 0.15 * i)


def panels(count: int, wide: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure and its `count` panels, at most three in a row."""
    columns = 1 if count == 1 else 2 if count in (2, 4) else 3
    rows = -(-count // columns)
    width, height = (6.4, 4.0) if count == 1 else (4.4, 3.1) if columns == 2 else (3.7, 2.8)
    figure = new_figure(figsize=(columns * width + 0.3 * wide, rows * height + 0.5))
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [panel for row in grid for panel in row]
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def name_axes(figure: Figure, axes: Sequence[Axes], x: str, y: str) -> None:
    """Write the name of y once, and the name of x below the lowest panel of each column."""
    positions = [_position(panel) for panel in axes]
    for panel, (row, column) in zip(axes, positions, strict=True):
        if (row + 1, column) not in positions:
            panel.set_xlabel(_lines(x, _ALONG))
    y = "\n".join(_lines(line, _ALONG) for line in y.split("\n"))
    if len(axes) > 1:
        figure.supylabel(y, fontsize=STYLE["font.size"] + 1)
    else:
        axes[0].set_ylabel(y)


def title(axes: Axes, text: str) -> None:
    """Write the title of a panel, in as many lines as it takes."""
    spec: Any = axes.get_subplotspec()
    figure: Any = axes.figure
    inches = figure.get_figwidth() / spec.get_gridspec().ncols
    axes.set_title(_lines(text, int(inches * 11)))


def _position(axes: Axes) -> tuple[int, int]:
    spec: Any = axes.get_subplotspec()
    return spec.rowspan.start, spec.colspan.start


def count_axis(axes: Axes) -> None:
    """Let the x axis write large counts as 50 k or 1 M."""
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def decades_axis(axes: Axes) -> None:
    """Make the y axis logarithmic, with plain numbers; mathtext is off, for names may hold a $."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend, of all names in the panels, below the panels."""
    handles: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    width = int(figure.get_figwidth() * 13) - 8
    names = [_lines(name, width) for name in handles]
    longest = max(map(len, "\n".join(names).split("\n")), default=0)
    columns = max(1, min(4, len(handles), int(figure.get_figwidth() * 13 / (longest + 8))))
    lines = -(-sum(name.count("\n") + 1 for name in names) // columns)
    # The panels shrink for a legend of up to four lines; for more the figure grows.
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, lines - 4))
    figure.legend(
        list(handles.values()),
        names,
        loc="outside lower center",
        ncols=columns,
        handlelength=3.2,
    )


def side_names(names: Sequence[str]) -> list[str]:
    """Return names to stand beside a panel, in lines that are short enough for it to stay wide."""
    return [_lines(name, _BESIDE) for name in names]


def _lines(text: str, width: int) -> str:
    """Return the first few lines of a text; the tables hold whole names."""
    width = max(width, 4)
    beginning = text[: width * (_MOST_LINES + 1)]
    return "\n".join(textwrap.wrap(beginning, width, max_lines=_MOST_LINES, placeholder=" .."))


def mark_levels(axes: Axes, levels: Mapping[str, tuple[float, str, Any]]) -> None:
    """Draw horizontal lines, name -> (value, colour, dashes), with the values at the right end."""
    for name, (value, colour, dashes) in levels.items():
        axes.axhline(value, color=colour, lw=1.2, ls=dashes, label=name, zorder=1.5)
    if levels:
        axes.margins(y=0.08)
        axes.autoscale_view()
    low, high = axes.get_ylim()
    gap = 0.065 * (high - low)
    for value, colour, y in _spread([(v, c) for v, c, _ in levels.values()], gap):
        axes.annotate(
            f"{value:.3g}",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            color=colour,
            va="center",
            fontsize="small",
            annotation_clip=False,
        )


def _spread(levels: Sequence[tuple[float, str]], gap: float) -> Iterator[tuple[float, str, float]]:
    """Yield (value, colour, height at which to write the value), heights at least `gap` apart."""
    height = float("-inf")
    for value, colour in sorted(levels):
        height = max(value, height + gap)
        yield value, colour, height


def render(figure: Figure) -> dict[str, bytes]:
    """Return the files {"png": .., "svg": ..}; equal figures have equal bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not again for each file
    return {"png": _file(figure, "png", dpi=150), "svg": _file(figure, "svg")}


def _file(figure: Figure, kind: str, **settings: Any) -> bytes:
    file = BytesIO()
    save(figure, file, kind, **settings)
    return file.getvalue()
