"""Decides which figures a report has, and notes what they leave out."""

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
from marlrun.report.render.chart import MAX_LINES, STYLE, LineStyle, line_styles, render
from marlrun.report.render.document import PROFILE, VERSUS, Picture
from marlrun.system.plotting import Figure, style

T = TypeVar("T")
PANELS, PAGES, PAIRS, KEYS = 9, 4, 12, 12
"""How many panels a figure has, how many figures there are of a kind, how many pairs stand in the
figure of improvements, and how many keys have a figure: nobody would read more."""
LONGEST = 100
"""How many characters of a key or a metric the name of a file holds."""
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
    """Draw all figures for which there are data; notes say what they leave out."""
    with style(STYLE), warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", UserWarning)  # as of a letter that the font lacks
        learning = [picture for measure in study.measures for picture in _learning(study, measure)]
        pictures = [*learning, *_comparisons(study), *_views(study)]
    for complaint in complaints:
        study.notes.add("Figures are not as they should be", str(complaint.message))
    return list(_with_distinct_stems(pictures))


def _with_distinct_stems(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Yield the pictures, with a number where stems differ in nothing but capital letters."""
    stems: set[str] = set()
    for picture in pictures:
        stem, number = picture.stem, 2
        while stem.lower() in stems:
            stem, number = f"{picture.stem}_{number}", number + 1
        stems.add(stem.lower())
        yield replace(picture, stem=stem)


def _picture(stem: str, title: str, caption: str, figure: Figure) -> Picture:
    return Picture(stem, title, caption, render(figure))


def _in_file_name(text: str) -> str:
    """Return a key or a metric in characters that every system allows in the name of a file."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:LONGEST]


def _learning(study: Study, measure: Measure) -> Iterator[Picture]:
    styles, tasks, curves = line_styles(study.algorithms), measure.tasks, measure.curves
    if len(study.algorithms) > MAX_LINES:
        selection, reason = "first", ""
        if study.is_ranked:
            selection, reason = "best", ", by their mean rank among a task's final IQMs"
        study.notes.add(
            f"Figures show the {MAX_LINES} {selection} of {len(study.algorithms)} algorithms or "
            f"settings{reason}; tables and CSV files hold all"
        )
    captions = CURVES + REFERENCES * any(task.exact or task.published for task in tasks)
    suffix = "" if measure is study.headline else f"_{_in_file_name(measure.metric)}"
    title = f"Learning curves{f' of {measure.metric}' * bool(suffix)}"
    drawn_tasks = _with_curves(tasks, curves, styles)
    for unit in dict.fromkeys(task.unit for task in drawn_tasks):
        name = f"curves{suffix}" if unit == "env_steps" else f"curves{suffix}_{unit}"
        tasks_of_unit = [task for task in drawn_tasks if task.unit == unit]
        for stem, page_tasks in _pages(study, name, tasks_of_unit):
            figure = figures.learning(page_tasks, curves, styles, measure.y)
            yield _picture(stem, title, captions, figure)
    curves_with_clock = [curve for curve in curves if curve.has_clock]
    for curve in curves if curves_with_clock else ():
        if not curve.has_clock:
            study.notes.add("Not in the figure over wall time: no perf/seconds", curve.group.label)
    for stem, page_tasks in _pages(
        study, f"wall_time{suffix}", _with_curves(tasks, curves_with_clock, styles)
    ):
        figure = figures.wall_time(page_tasks, curves_with_clock, styles, measure.y)
        yield _picture(stem, f"{title} over wall time", captions + CLOCK, figure)


def _with_curves(
    tasks: Sequence[Task], curves: Sequence[Curve], line_styles: Mapping[str, LineStyle]
) -> list[Task]:
    names = {curve.group.task for curve in curves if curve.group.algorithm in line_styles}
    return [task for task in tasks if task.name in names]


def _comparisons(study: Study) -> Iterator[Picture]:
    styles = line_styles(study.algorithms)
    is_drawn = study.comparison and any(name in styles for name in study.comparison.scores)
    if study.comparison and is_drawn:
        figure = figures.profiles(study.comparison, styles)
        better = "; higher is better" * study.is_ranked
        yield _picture("profile", PROFILE, f"{SHARE}{better}. {BAND}", figure)
    pairs = study.improvements
    if len(pairs) > PAIRS:
        best = pairs[0].left
        pairs = [pair for pair in pairs if pair.left == best][:PAIRS]
        study.notes.add(f"The figure of pairs shows {best} against others; the table all pairs")
    if pairs:
        yield _picture("improvement", VERSUS, IMPROVEMENT, figures.improvements(pairs))


def _views(study: Study) -> Iterator[Picture]:
    """Draw figures for every number in which runs differ."""
    keys = list(dict.fromkeys(view.key for view in study.views))
    y = _common([measure.y for measure in study.measures])
    if len(keys) > KEYS:
        study.notes.add(f"The first {KEYS} of {len(keys)} hyperparameters have a figure")
    for key, name in [*short(keys).items()][:KEYS]:
        views = [view for view in study.views if view.key == key]
        lines = _lines(study.algorithms, views)
        if len(lines) > MAX_LINES:
            study.notes.add(f"Figures over a hyperparameter show the first {MAX_LINES} lines", key)
        styles = line_styles(lines)
        views = [view for view in views if any(line in styles for line in view.lines)]
        for stem, page_views in _pages(study, f"hyperparameters_{_in_file_name(name)}", views):
            yield _picture(
                stem, "Hyperparameters", VIEWS, hyperparameters.draw(page_views, styles, y)
            )


def _common(labels: Sequence[str]) -> str:
    """Return the label of an axis for several metrics, which names their units."""
    units = dict.fromkeys(label.rpartition("[")[2].rstrip("]") for label in labels)
    return labels[0] if len(labels) == 1 else f"value [{' or '.join(units)}]"


def _lines(algorithms: Sequence[str], views: Sequence[View]) -> list[str]:
    """Return the names of all lines in the views, those of the best algorithms first."""
    ranks_of_lines: dict[str, int] = {}
    for view in views:
        for name, line in view.lines.items():
            ranks = [algorithms.index(final.group.algorithm) for final in line.values()]
            ranks_of_lines[name] = min(*ranks, ranks_of_lines.get(name, len(algorithms)))
    return sorted(ranks_of_lines, key=lambda name: ranks_of_lines[name])


def _pages(study: Study, stem: str, panels: Sequence[T]) -> Iterator[tuple[str, list[T]]]:
    """Yield the stem and the panels of each figure; a note says if panels are left out."""
    if len(panels) > PANELS * PAGES:
        study.notes.add(f"Figures {stem} show the first {PANELS * PAGES} of {len(panels)} panels")
    for page in range(min(PAGES, -(-len(panels) // PANELS))):
        page_panels = panels[page * PANELS : (page + 1) * PANELS]
        yield f"{stem}_{page + 1}" if page else stem, list(page_panels)
