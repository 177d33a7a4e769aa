"""Which figures a report has, and what they leave out."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from marlrun.report.analysis.curves import Curve
from marlrun.report.analysis.groups import short
from marlrun.report.analysis.references import Task
from marlrun.report.analysis.sensitivity import View
from marlrun.report.analysis.statistics import FEW, LEAST
from marlrun.report.analysis.study import Measure, Study
from marlrun.report.render import figures, hyperparameters
from marlrun.report.render.chart import MAX_LINES, STYLE, Look, looks, rendered
from marlrun.report.render.document import PROFILE, VERSUS, Picture
from marlrun.system.plotting import Figure, style

T = TypeVar("T")
PANELS, PAGES, PAIRS, KEYS = 9, 4, 12, 12
"""Panels a figure, figures of a kind, pairs in the figure of improvements, and hyperparameters
that have a figure: more are not read."""
LONGEST = 100
"""Characters of a key or a metric in the name of a file."""
BAND = (
    f"Line: IQM over seeds, band: its 95 % bootstrap interval, none below {LEAST} seeds, too narrow "
    f"below {FEW}."
)
CURVES = (
    f"{BAND} Dotted: not all seeds reach there. Cross at the bottom: a value that is no number."
)
REFERENCES = " Horizontal lines with their value at the right: exact values, the paper's numbers."
CLOCK = (
    " Time is that of the whole run, all its seeds together: compare only runs of equally many "
    "seeds on the same, otherwise idle machine."
)
SHARE = "Share of seeds that end above each score, mean over tasks"
IMPROVEMENT = "Black: probability that a seed of X ends above one of Y; bar: its 95 % interval."
VIEWS = "Final result against each number that was varied, a line for each setting of the others."


def draw(study: Study) -> list[Picture]:
    """Draw all figures that there are data for; notes say what is not shown."""
    with style(STYLE), warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", UserWarning)  # a letter that the font lacks
        learning = [one for measure in study.measures for one in _learning(study, measure)]
        pictures = [*learning, *_comparisons(study), *_views(study)]
    for complaint in complaints:
        study.notes.add("Figures are not as they should be", str(complaint.message))
    return list(_told_apart(pictures))


def _told_apart(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Yield the pictures with a number where two had one name, capital letters or not."""
    taken: set[str] = set()
    for picture in pictures:
        stem, number = picture.stem, 2
        while stem.lower() in taken:
            stem, number = f"{picture.stem}_{number}", number + 1
        taken.add(stem.lower())
        yield replace(picture, stem=stem)


def _picture(stem: str, title: str, caption: str, figure: Figure) -> Picture:
    return Picture(stem, title, caption, rendered(figure))


def _in_file_name(text: str) -> str:
    """Return a key or a metric as a part of the name of a file, on any system."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:LONGEST]


def _learning(study: Study, measure: Measure) -> Iterator[Picture]:
    shown, tasks, curves = looks(study.algorithms), measure.tasks, measure.curves
    if len(study.algorithms) > MAX_LINES:
        which, how = "first", ""
        if study.is_ranked:
            which, how = "best", ", by their mean rank among a task's final IQMs"
        study.notes.add(
            f"Figures show the {MAX_LINES} {which} of {len(study.algorithms)} algorithms or "
            f"settings{how}; tables and CSV files hold all"
        )
    captions = CURVES + REFERENCES * any(task.exact or task.published for task in tasks)
    more = "" if measure is study.headline else f"_{_in_file_name(measure.metric)}"
    title = f"Learning curves{f' of {measure.metric}' * bool(more)}"
    for stem, some in _pages(study, f"curves{more}", _with_curves(tasks, curves, shown)):
        figure = figures.learning(some, curves, shown, measure.y)
        yield _picture(stem, title, captions, figure)
    timed = [curve for curve in curves if curve.has_clock]
    for curve in curves if timed else ():
        if not curve.has_clock:
            study.notes.add("Not in the figure over wall time: no perf/seconds", curve.group.label)
    for stem, some in _pages(study, f"wall_time{more}", _with_curves(tasks, timed, shown)):
        figure = figures.wall_time(some, timed, shown, measure.y)
        yield _picture(stem, f"{title} over wall time", captions + CLOCK, figure)


def _with_curves(
    tasks: Sequence[Task], curves: Sequence[Curve], shown: Mapping[str, Look]
) -> list[Task]:
    names = {curve.group.task for curve in curves if curve.group.algorithm in shown}
    return [task for task in tasks if task.name in names]


def _comparisons(study: Study) -> Iterator[Picture]:
    shown = looks(study.algorithms)
    compared = study.comparison and any(name in shown for name in study.comparison.scores)
    if study.comparison and compared:
        figure = figures.profiles(study.comparison, shown)
        better = "; higher is better" * study.is_ranked
        yield _picture("profile", PROFILE, f"{SHARE}{better}. {BAND}", figure)
    pairs = study.improvements
    if len(pairs) > PAIRS:
        first = pairs[0].left
        pairs = [pair for pair in pairs if pair.left == first][:PAIRS]
        study.notes.add(f"The figure of pairs shows {first} against others; the table all pairs")
    if pairs:
        yield _picture("improvement", VERSUS, IMPROVEMENT, figures.improvements(pairs))


def _views(study: Study) -> Iterator[Picture]:
    """Draw a figure for every number that was varied."""
    keys = list(dict.fromkeys(view.key for view in study.views))
    y = _common([measure.y for measure in study.measures])
    if len(keys) > KEYS:
        study.notes.add(f"The first {KEYS} of {len(keys)} hyperparameters have a figure")
    for key, name in [*short(keys).items()][:KEYS]:
        views = [view for view in study.views if view.key == key]
        lines = _lines(study.algorithms, views)
        if len(lines) > MAX_LINES:
            study.notes.add(f"Figures over a hyperparameter show the first {MAX_LINES} lines", key)
        shown = looks(lines)
        views = [view for view in views if any(line in shown for line in view.lines)]
        for stem, some in _pages(study, f"hyperparameters_{_in_file_name(name)}", views):
            yield _picture(stem, "Hyperparameters", VIEWS, hyperparameters.draw(some, shown, y))


def _common(labels: Sequence[str]) -> str:
    """Return a label of an axis that holds all these metrics: their units."""
    units = dict.fromkeys(label.rpartition("[")[2].rstrip("]") for label in labels)
    return labels[0] if len(labels) == 1 else f"value [{' or '.join(units)}]"


def _lines(algorithms: Sequence[str], views: Sequence[View]) -> list[str]:
    """Return the names of all lines, those of the best algorithms first."""
    best: dict[str, int] = {}
    for view in views:
        for name, line in view.lines.items():
            ranks = [algorithms.index(final.group.algorithm) for final in line.values()]
            best[name] = min(*ranks, best.get(name, len(algorithms)))
    return sorted(best, key=lambda name: best[name])


def _pages(study: Study, stem: str, panels: Sequence[T]) -> Iterator[tuple[str, list[T]]]:
    """Yield the stem of each figure with its panels."""
    if len(panels) > PANELS * PAGES:
        study.notes.add(f"Figures {stem} show the first {PANELS * PAGES} of {len(panels)} panels")
    for page in range(min(PAGES, -(-len(panels) // PANELS))):
        some = panels[page * PANELS : (page + 1) * PANELS]
        yield f"{stem}_{page + 1}" if page else stem, list(some)
