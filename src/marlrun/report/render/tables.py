"""The tables of a report, which are plain data, as Markdown and as CSV."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marlrun.config.schema import show
from marlrun.report.analysis import statistics
from marlrun.report.analysis.curves import Curve
from marlrun.report.analysis.groups import Group
from marlrun.report.analysis.results import Comparison, Final, Improvement, aggregate
from marlrun.report.analysis.statistics import FEW, Estimate, Narrow
from marlrun.system.plain import printable
from marlrun.system.reading import is_number

Cell = str | float | int | Estimate | None
_FORMULA = re.compile(r"[=+\-@\t\r]")
"""The first character of a text that spreadsheets would calculate."""
_MARKUP = re.compile(r"[\\`*<|$~]|\b_|_\b|(?<=\])[(\[:]|&(?=[#\w])")
"""Characters that Markdown would not show; it does show an underscore within a word."""
MARK = "†"
LEGEND = f"{MARK} Fewer than {FEW} seeds: the true interval is wider."


@dataclass(frozen=True)
class Table:
    """Rows under named columns; numbers are rounded only for Markdown and HTML."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def csv(self) -> str:
        """Return the table as CSV, with all digits of numbers, and estimates in three columns."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_plain(name) for i in self._indices for name in self._names(i))
        for row in self.rows:
            writer.writerow(_plain(part) for cell in row for part in _parts(cell))
        return text.getvalue()

    @property
    def legend(self) -> str:
        """The meaning of the mark, if a cell has it, or ""."""
        return LEGEND * any(isinstance(cell, Narrow) for row in self.rows for cell in row)

    def markdown(self) -> str:
        """Return the table in Markdown, with the legend below."""
        rule = ["--:" if self.is_number(i) else ":--" for i in self._indices]
        heads = [escaped(name) for name in self.columns]
        rows = [heads, rule, *([escaped(displayed(cell)) for cell in row] for row in self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*lines, *["", self.legend] * bool(self.legend), ""])

    def is_number(self, index: int) -> bool:
        """Say whether a column holds numbers."""
        return not any(isinstance(row[index], str) for row in self.rows)

    def _names(self, index: int) -> list[str]:
        name = self.columns[index]
        is_estimate = any(isinstance(row[index], Estimate) for row in self.rows)
        return [name, f"{name} low", f"{name} high"] if is_estimate else [name]

    @property
    def _indices(self) -> range:
        return range(len(self.columns))


def displayed(cell: Cell) -> str:
    """Return a cell as a text for people, with 4 digits, or a dash if the cell is empty."""
    if isinstance(cell, Estimate):
        if math.isnan(cell.low):
            return f"{cell.value:.4g}"
        mark = MARK * isinstance(cell, Narrow)
        return f"{cell.value:.4g} [{cell.low:.4g}, {cell.high:.4g}]{mark}"
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def escaped(text: str) -> str:
    """Return one line of Markdown that shows a text as it is."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def _parts(cell: Cell) -> Iterator[str | float | int | None]:
    if isinstance(cell, Estimate):
        yield from cell
    else:
        yield cell


def _plain(cell: str | float | int | None) -> str | float | int:
    """Return a cell for a CSV file; an apostrophe keeps spreadsheets from calculating a text."""
    if isinstance(cell, str):
        return f"'{cell}" if _FORMULA.match(cell) and not is_number(cell) else cell
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def results(finals: Mapping[str, Sequence[Final]]) -> Table:
    """Return the final results by task and algorithm; metrics after the first have one column."""
    by_metric = {
        metric: {(final.task.name, final.group.algorithm): final for final in results_of_metric}
        for metric, results_of_metric in finals.items()
    }
    headline, *other_metrics = by_metric.values()
    is_measured = all(
        final.is_measured for results_of_metric in finals.values() for final in results_of_metric
    )
    source = "On fresh episodes after training" if is_measured else "The last logged values"
    columns = ["task", "algorithm", "seeds", "mean", "IQM", "fraction of optimum", "paper"]
    return _without_empty(
        Table(
            "Final results",
            f"{next(iter(finals))}. {source}, over seeds, with 95 % bootstrap intervals. "
            "IQM: mean of the middle half of the seeds; the fraction is the IQM's.",
            [*columns, *(f"IQM of {metric}" for metric in [*by_metric][1:])],
            [
                [
                    *pair,
                    *_numbers(headline.get(pair)),
                    *(_iqm(by_pair.get(pair)) for by_pair in other_metrics),
                ]
                for pair in dict.fromkeys(
                    pair for results_of_metric in by_metric.values() for pair in results_of_metric
                )
            ],
        )
    )


def _numbers(final: Final | None) -> list[Cell]:
    if final is None:
        return [None] * 5
    task, optimum = final.task, final.task.optimum
    fraction = final.iqm.value / optimum if optimum else None
    return [len(final.scores), final.mean, final.iqm, fraction, task.paper(final.group)]


def _iqm(final: Final | None) -> Cell:
    return final and final.iqm


def _without_empty(table: Table) -> Table:
    rows_or_heads = table.rows or [table.columns]
    columns = [
        i for i in range(len(table.columns)) if any(row[i] is not None for row in rows_or_heads)
    ]
    rows = [[row[i] for i in columns] for row in table.rows]
    return Table(table.title, table.caption, [table.columns[i] for i in columns], rows)


def across(comparison: Comparison) -> Table:
    """Return the averages of each algorithm over all tasks."""
    iqms, means = (aggregate(comparison, f) for f in (statistics.iqm, statistics.mean))
    rows = [
        [name, sum(map(len, scores)), means[name], iqms[name]]
        for name, scores in comparison.scores.items()
    ]
    caption = (
        f"{comparison.unit}, over {len(comparison.tasks)} tasks: {', '.join(comparison.tasks)}. "
        "IQM over all seeds of all tasks; resampled within tasks."
    )
    return Table("Over all tasks", caption, ["algorithm", "seeds", "mean", "IQM"], rows)


def improvement(pairs: Sequence[Improvement]) -> Table:
    """Return the probability that one algorithm ends above another, for all pairs."""
    rows = [[pair.left, pair.right, pair.num_tasks, pair.probability] for pair in pairs]
    caption = "Probability that a seed of X ends above a seed of Y, mean over the tasks both ran."
    return Table("Probability of improvement", caption, ["X", "Y", "tasks", "P(X > Y)"], rows)


def seeds(groups: Sequence[Group]) -> Table:
    """Return the settings, the end and the result of every seed."""
    keys = list(dict.fromkeys(key for group in groups for key in group.settings))
    rows = [
        [group.task, group.algorithm, *(_setting(group.settings.get(key)) for key in keys)]
        + [trial.seed, trial.run.status, int(trial.steps[-1]) if len(trial.steps) else None]
        + [trial.final, trial.run.name]
        for group in groups
        for trial in group.trials
    ]
    is_offline = all(group.unit == "updates" for group in groups)
    last = "last_update" if is_offline else "last_step"
    columns = ["task", "algorithm", *keys, "seed", "status", last, "result", "run"]
    return Table("Seeds", "Every seed's final result", columns, rows)


def _setting(value: object) -> Cell:
    return value if isinstance(value, int | float) else None if value is None else show(value)


def curves(curves_by_metric: Mapping[str, Sequence[Curve]]) -> Table:
    """Return the curves of all groups point by point, with a column for each unit that they count."""
    all_curves = [curve for curves in curves_by_metric.values() for curve in curves]
    units = sorted({curve.group.unit for curve in all_curves} or {"env_steps"})
    rows = [
        [metric, curve.group.task, curve.group.algorithm]
        + [step if curve.group.unit == unit else None for unit in units]
        + point
        for metric, curves_of_metric in curves_by_metric.items()
        for curve in curves_of_metric
        for step, *point in zip(
            curve.steps.tolist(),
            curve.seconds.tolist(),
            curve.num_seeds.tolist(),
            map(Estimate, curve.iqm.tolist(), curve.low.tolist(), curve.high.tolist()),
            strict=True,
        )
    ]
    columns = ["metric", "task", "algorithm", *units, "seconds", "seeds", "IQM"]
    return Table("Learning curves", "IQM over seeds", columns, rows)
