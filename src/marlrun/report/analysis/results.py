"""Final results of groups, and comparisons of algorithms over tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from marlrun.report.analysis import statistics
from marlrun.report.analysis.groups import Group
from marlrun.report.analysis.references import Task
from marlrun.report.analysis.statistics import FEW, LEAST, Estimate
from marlrun.report.data.arrays import Floats
from marlrun.report.data.notes import Notes


@dataclass(frozen=True)
class Final:
    """The final results of a group, one for each seed, and their averages."""

    task: Task
    group: Group
    scores: Floats
    is_measured: bool
    """Whether fresh episodes after training gave the scores, or else the last lines of the log."""

    @cached_property
    def mean(self) -> Estimate:
        """The mean over seeds."""
        return statistics.mean([self.scores])

    @cached_property
    def iqm(self) -> Estimate:
        """The interquartile mean over seeds."""
        return statistics.iqm([self.scores])


@dataclass(frozen=True)
class Comparison:
    """Scores of algorithms on the tasks that all of them ran: a list of arrays over seeds."""

    unit: str
    tasks: list[str]
    scores: dict[str, list[Floats]]


@dataclass(frozen=True)
class Improvement:
    """The probability that a seed of `left` ends above one of `right`, over `num_tasks` tasks."""

    left: str
    right: str
    num_tasks: int
    probability: Estimate


def finals(tasks: Sequence[Task], metric: str, notes: Notes) -> list[Final]:
    """Return the final result of every group that has one."""
    groups = [(task, group) for task in tasks for group in task.groups]
    is_measured = any(trial.final is not None for _, group in groups for trial in group.trials)
    if not is_measured:
        notes.add(f"No finished run has a final {metric}: the last logged values stand in for it")
    results: list[Final] = []
    for task, group in groups:
        scores = _scores(group, is_measured, notes)
        if len(scores):
            results.append(Final(task, group, scores, is_measured))
        else:
            notes.add(f"Groups without a final {metric}", group.label)
    _note_sizes(results, notes)
    return results


def _scores(group: Group, is_measured: bool, notes: Notes) -> Floats:
    ends = [trial.values[-1] if len(trial.values) else None for trial in group.trials]
    measured = [trial.final for trial in group.trials]
    scores: list[float] = []
    for trial, score in zip(group.trials, measured if is_measured else ends, strict=True):
        if score is not None and np.isnan(score):
            notes.add("Final results that are not numbers, left out", trial.label)
        elif score is not None:
            scores.append(float(score))
    return np.array(scores)


def _note_sizes(results: Sequence[Final], notes: Notes) -> None:
    sizes = {final.group.label: len(final.scores) for final in results}
    if len(set(sizes.values())) > 1:
        for label, size in sizes.items():
            notes.add("Groups have unequal numbers of seeds", f"{label} ({size})")
    for label, size in sizes.items():
        if size < FEW:
            sentence = (
                f"Fewer than {FEW} seeds: intervals are too narrow; below {LEAST} there is none"
            )
            notes.add(sentence, f"{label} ({size})")


def ranked(results: Sequence[Final], algorithms: Sequence[str]) -> list[str]:
    """Return the algorithms, best first, by their mean rank among the results of a task."""
    ranks: dict[str, list[float]] = {}
    for task in dict.fromkeys(final.task.name for final in results):
        results_of_task = [final for final in results if final.task.name == task]
        for final in results_of_task:
            num_better = sum(rival.iqm.value > final.iqm.value for rival in results_of_task)
            ranks.setdefault(final.group.algorithm, []).append(num_better / len(results_of_task))
    return sorted(algorithms, key=lambda name: np.mean(ranks.get(name, [1.0])))


def compare(results: Sequence[Final], raw_unit: str, notes: Notes) -> Comparison | None:
    """Return the scores on a scale that tasks share; None, with a note, if there is none."""
    names = list(dict.fromkeys(final.task.name for final in results))
    if any(final.task.scale for final in results):
        unit, scale = "normalised return [0 = random, 1 = optimum]", _normalised
    elif any(final.task.optimum for final in results):
        unit, scale = "return [fraction of the optimum]", _fraction
    elif len(names) == 1:
        unit, scale = raw_unit, _raw
    else:
        notes.add("Tasks are not compared on one scale: no exact optimum is known for any of them")
        return None
    scores: dict[str, dict[str, Floats]] = {}
    for final in results:
        score = scale(final)
        if score is None:
            notes.add(
                "Tasks without exact values, not in the comparison over all tasks",
                final.task.name,
            )
        else:
            scores.setdefault(final.group.algorithm, {})[final.task.name] = score
    common = _common(scores, notes)
    for name in names:
        if name not in common and any(name in by_task for by_task in scores.values()):
            notes.add(
                "Tasks not run by all compared algorithms, not in the comparison over all tasks",
                name,
            )
    task_names = [name for name in names if name in common]
    return Comparison(
        unit, task_names, {a: [by_task[t] for t in task_names] for a, by_task in scores.items()}
    )


def _normalised(final: Final) -> Floats | None:
    if final.task.scale is None:
        return None
    low, high = final.task.scale
    return (final.scores - low) / (high - low)


def _fraction(final: Final) -> Floats | None:
    return final.scores / final.task.optimum if final.task.optimum else None


def _raw(final: Final) -> Floats | None:
    return final.scores


def _common(scores: dict[str, dict[str, Floats]], notes: Notes) -> set[str]:
    """Return the tasks that all algorithms ran.

    While there is none, the algorithm that ran fewest tasks is removed from `scores`.
    """
    while True:
        common = set[str].intersection(*(set(by_task) for by_task in scores.values()))
        if common:
            return common
        narrowest = min(scores, key=lambda name: len(scores[name]))
        notes.add(
            "Algorithms that share no task with the others, not in the comparison over all tasks",
            narrowest,
        )
        del scores[narrowest]


def improvements(results: Sequence[Final], order: Sequence[str]) -> list[Improvement]:
    """Return the improvement for every pair of algorithms that share a task, in the given order."""
    scores: dict[str, dict[str, Floats]] = {}
    for final in results:
        scores.setdefault(final.group.algorithm, {})[final.task.name] = final.scores
    pairs: list[Improvement] = []
    for left, right in combinations([name for name in order if name in scores], 2):
        common = [task for task in scores[left] if task in scores[right]]
        if common:
            left_scores, right_scores = (
                [scores[name][task] for task in common] for name in (left, right)
            )
            probability = statistics.improvement(left_scores, right_scores)
            pairs.append(Improvement(left, right, len(common), probability))
    return pairs


def aggregate(
    comparison: Comparison, statistic: Callable[[Sequence[Floats]], Estimate]
) -> dict[str, Estimate]:
    """Return a statistic of the scores of each algorithm over all tasks."""
    return {name: statistic(scores) for name, scores in comparison.scores.items()}
