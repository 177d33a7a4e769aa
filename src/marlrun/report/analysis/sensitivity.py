"""How final results depend on each number in which runs differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marlrun.report.analysis.references import ANTICIPATED, RETURN
from marlrun.report.analysis.results import Final
from marlrun.report.data.jsonl import number

NAMES = {RETURN: "actual: ", ANTICIPATED: "anticipated: "}
"""Words for a metric where two metrics share a panel."""


@dataclass(frozen=True)
class View:
    """Results over the values of one key, with a line for each setting of the other keys."""

    key: str
    task: str
    lines: dict[str, dict[float, Final]] = field(default_factory=dict[str, dict[float, Final]])

    @property
    def values(self) -> list[float]:
        """The values of the key, ascending."""
        return sorted({value for line in self.lines.values() for value in line})


def views(finals: Mapping[str, Sequence[Final]]) -> list[View]:
    """Return a view for every number that has several values, by key, then by task.

    `finals` are the results by metric; if there are several metrics, each has lines of its own.
    """
    grouped: dict[tuple[str, str], View] = {}
    pairs = ((metric, final) for metric, results in finals.items() for final in results)
    for metric, final in pairs:
        group = final.group
        for key, value in group.settings.items():
            if math.isfinite(number(value)) and not isinstance(value, bool):
                task = group.task_without(key)
                view = grouped.setdefault((key, task), View(key, task))
                name = group.algorithm_without(key)
                line = f"{name}, {NAMES.get(metric, '')}{metric}" if len(finals) > 1 else name
                view.lines.setdefault(line, {})[number(value)] = final
    varied = [view for view in grouped.values() if len(view.values) > 1]
    return sorted(varied, key=lambda view: view.key)
