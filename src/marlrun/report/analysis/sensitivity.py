"""How results depend on each number that was varied."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marlrun.report.analysis.references import ANTICIPATED, RETURN
from marlrun.report.analysis.results import Final
from marlrun.report.data.jsonl import number

NAMES = {RETURN: "actual: ", ANTICIPATED: "anticipated: "}
"""What the paper calls a metric where it draws two in one panel."""


@dataclass(frozen=True)
class View:
    """Results against the values of one key: a line for each setting of the others."""

    key: str
    task: str
    lines: dict[str, dict[float, Final]] = field(default_factory=dict[str, dict[float, Final]])

    @property
    def values(self) -> list[float]:
        """Return the key's values, ascending."""
        return sorted({value for line in self.lines.values() for value in line})


def views(found: Mapping[str, Sequence[Final]]) -> list[View]:
    """Return a view for every number that takes several values, by key, then by task.

    `found` is the results by metric; of several metrics, each has its own lines.
    """
    grouped: dict[tuple[str, str], View] = {}
    for metric, final in ((metric, final) for metric, some in found.items() for final in some):
        group = final.group
        for key, value in group.settings.items():
            if math.isfinite(number(value)) and not isinstance(value, bool):
                task = group.task_without(key)
                view = grouped.setdefault((key, task), View(key, task))
                name = group.algorithm_without(key)
                line = f"{name}, {NAMES.get(metric, '')}{metric}" if len(found) > 1 else name
                view.lines.setdefault(line, {})[number(value)] = final
    several = [view for view in grouped.values() if len(view.values) > 1]
    return sorted(several, key=lambda view: view.key)
