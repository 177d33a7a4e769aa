"""The figures of paper 1 from the runs that docs/results keeps.

Lines are means over seeds, bands and bars their 95 % intervals.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kept import during, find, runs, values

from marlrun.report.render.chart import COLOURS, MARKERS, STYLE, count_axis, legend
from marlrun.runner.intervals import estimate
from marlrun.system.plotting import Axes, Figure, MaxNLocator, new_figure, save, style
from paper1.runs import (
    ANTICIPATED,
    BY_BETA,
    FRACTION,
    NUMBERS,
    RETURN,
    SCALING,
    SIZES,
    exact,
    tasks,
    updates_per_second,
)

OPTIMUM = (0, (1, 1.5))
REFERENCES = {"optimum": OPTIMUM, "random play": (0, (4, 2))}
"""The names of exact values, and the dashes of their lines."""
HIGHEST = 1.5
"""Values that have diverged are not shown in full."""


def with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its interval, which is the mean alone where there is one seed."""
    mean, low, high, _ = estimate(values)
    return (mean, mean, mean) if low is None or high is None else (mean, low, high)


def band(axes: Axes, curve: Mapping[int, Sequence[float]], colour: str, label: str) -> None:
    """Draw the mean over seeds by environment step, and its interval."""
    means, low, high = zip(*map(with_interval, curve.values()), strict=True)
    axes.plot(list(curve), means, color=colour, lw=1.6, label=label)
    axes.fill_between(list(curve), low, high, color=colour, alpha=0.15, lw=0)


def sizes_figure() -> Figure:
    """Learning curves, a line for each size of the torus.

    Above those of Dec-DRQN, Dec-HDRQN, and that with settings of ours; below the first two with the target's memory
    as in the authors' code.
    """
    figure = new_figure(figsize=(10, 6.4))
    grid = figure.subplots(2, 3, sharey=True)
    growing, faithful = runs("paper1_sizes"), runs("paper1_sizes_faithful")
    ours = [*runs("paper1_specialists"), *runs("paper1_plus")]
    plotted = [
        ("Dec-DRQN", growing, {"algo": "dec_drqn"}),
        ("Dec-HDRQN", growing, {"algo": "dec_hdrqn"}),
        ("dec_hdrqn_plus, settings of ours", ours, {"algo": "dec_hdrqn_plus", "env.num_agents": 2}),
        ("Dec-DRQN, the authors' target", faithful, {"algo": "dec_drqn"}),
        ("Dec-HDRQN, the authors' target", faithful, {"algo": "dec_hdrqn"}),
    ]
    *panels, unused = grid.flat
    unused.set_axis_off()
    for axes, (name, among, settings) in zip(panels, plotted, strict=True):
        for colour, size in zip(COLOURS, (*SIZES, 8), strict=False):
            if run := find(among, settings | {"env.size": size}):
                band(axes, during(run.name, FRACTION), colour, f"{size} x {size}")
        axes.axhline(1, color="black", lw=1.2, ls=OPTIMUM, label="optimum")
        axes.set(title=name, xlabel="environment steps", ylim=(-0.05, 1.1))
        count_axis(axes)
    for axes in grid[:, 0]:
        axes.set_ylabel("return, part of the optimum")
    legend(figure, panels)
    return figure


def seeds_and_mean(
    axes: Axes, curve: Mapping[int, Sequence[float]], colour: str, label: str
) -> None:
    """Draw a thin line for each seed, and their mean."""
    axes.plot(list(curve), list(curve.values()), color=colour, lw=0.5, alpha=0.6)
    means = [estimate(values).mean for values in curve.values()]
    axes.plot(list(curve), means, color=colour, lw=2, label=label)


def beta_figure(folder: str) -> Figure:
    """What agents get and what they anticipate, a panel for each beta."""
    figure = new_figure(figsize=(8, 5.2))
    among = runs(folder)
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    panels = list(grid.flat)
    for axes, row in zip(panels, BY_BETA, strict=True):
        if run := find(among, row.settings):
            seeds_and_mean(axes, during(run.name, RETURN), COLOURS[0], "actual value")
            seeds_and_mean(axes, during(run.name, ANTICIPATED), COLOURS[1], "anticipated value")
            optimum = exact(among, row.settings)["optimum"]
            axes.axhline(optimum, color="black", lw=1.2, ls=OPTIMUM, label="optimum")
        axes.set(title=row.label, ylim=(-0.05, HIGHEST))
        count_axis(axes)
    for axes in grid[-1]:
        axes.set_xlabel("environment steps")
    for axes in grid[:, 0]:
        axes.set_ylabel("discounted return")
    legend(figure, panels)
    return figure


def distilled_figure() -> Figure:
    """Each task's specialists beside each policy for all tasks; dots are seeds."""
    figure = new_figure(figsize=(8, 4))
    axes = figure.subplots()
    all_tasks = tasks()
    for place, task in enumerate(all_tasks):
        width = 0.8 / len(task.returns)
        for number, (colour, (name, returns)) in enumerate(
            zip(COLOURS, task.returns.items(), strict=False)
        ):
            middle = place + (number - (len(task.returns) - 1) / 2) * width
            _bar(axes, middle, width, returns or [], colour, name)
        levels = zip(REFERENCES.items(), (task.optimum, task.random), strict=True)
        for (name, dashes), height in levels:
            if height is not None:
                ends = place - 0.45, place + 0.45
                axes.hlines(height, *ends, "black", ls=dashes, lw=1.2, label=name)
    axes.set_xticks(range(len(all_tasks)), [task.label for task in all_tasks])
    axes.set(ylabel="discounted return", ylim=(0, 1.05))
    axes.grid(visible=False, axis="x")
    legend(figure, [axes])
    return figure


def _bar(
    axes: Axes, middle: float, width: float, returns: Sequence[float], colour: str, name: str
) -> None:
    """Draw a bar with its interval, and a dot for each seed."""
    if returns:
        mean, low, high = with_interval(returns)
        axes.bar(middle, mean, 0.9 * width, color=colour, alpha=0.45, label=name)
        axes.vlines(middle, low, high, color=colour, lw=2)
        count = len(returns)
        spread = [middle + 0.6 * width * ((k + 0.5) / count - 0.5) for k in range(count)]
        axes.plot(spread, returns, "o", color=colour, ms=3, mec="white", mew=0.4)


def scaling_figure() -> Figure:
    """How many updates a second learners make, and what they earn, against the number of agents."""
    figure = new_figure(figsize=(8, 3.5))
    cost, result = panels = list(figure.subplots(1, 2))
    among = runs("paper1_scaling")
    for colour, marker, (algo, name) in zip(COLOURS, MARKERS, SCALING.items(), strict=False):
        by_number = {
            number: run
            for number in NUMBERS
            if (run := find(among, {"algo": algo, "env.num_agents": number}))
        }
        if not by_number:
            continue
        speeds = [updates_per_second(run) or float("nan") for run in by_number.values()]
        cost.plot(list(by_number), speeds, marker=marker, color=colour, label=name)
        fractions = [values(run, FRACTION) or [] for run in by_number.values()]
        means, low, high = zip(*map(with_interval, fractions), strict=True)
        half = [(top - bottom) / 2 for bottom, top in zip(low, high, strict=True)]
        result.errorbar(list(by_number), means, half, marker=marker, color=colour, capsize=3)
    cost.set(ylabel="updates per second, summed over seeds", ylim=(0, None))
    result.axhline(1, color="black", lw=1.2, ls=OPTIMUM, label="optimum")
    result.set(ylabel="return, part of the optimum", ylim=(-0.05, 1.1))
    for axes in panels:
        axes.set_xlabel("agents")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, panels)
    return figure


FIGURES = {
    "sizes": (["paper1_sizes"], sizes_figure),
    "beta": (["paper1_beta"], lambda: beta_figure("paper1_beta")),
    "beta_faithful": (["paper1_beta_faithful"], lambda: beta_figure("paper1_beta_faithful")),
    "distilled": (["paper1_specialists", "paper1_distilled"], distilled_figure),
    "scaling": (["paper1_scaling"], scaling_figure),
}
"""The runs that a figure needs, and what draws it."""


def draw_figures(folder: Path) -> None:
    """Write the figures whose runs are kept, and say on stderr which are not."""
    for name, (folders, draw) in FIGURES.items():
        if missing := [wanted for wanted in folders if not runs(wanted)]:
            sys.stderr.write(f"{name}.png: no runs of {' and '.join(missing)} are kept\n")
            continue
        with style(STYLE):
            save(draw(), folder / f"{name}.png", "png", dpi=100)
