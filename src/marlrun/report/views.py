"""How results depend on each number that was varied."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marlrun.report.results import Final


@dataclass(frozen=True)
class View:
    """Results against the values of one key: a line for each setting of all other keys."""

    key: str
    task: str
    lines: dict[str, dict[float, Final]] = field(default_factory=dict[str, dict[float, Final]])

    @property
    def values(self) -> list[float]:
        """Return the key's values, ascending."""
        return sorted({value for line in self.lines.values() for value in line})


def views(found: Sequence[Final]) -> list[View]:
    """Return a view for every number that takes several values, by key, then by task."""
    grouped: dict[tuple[str, str], View] = {}
    for final in found:
        group = final.group
        for key, value in group.settings.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                task = group.task_without(key)
                view = grouped.setdefault((key, task), View(key, task))
                view.lines.setdefault(group.algorithm_without(key), {})[float(value)] = final
    several = [view for view in grouped.values() if len(view.values) > 1]
    return sorted(several, key=lambda view: view.key)
