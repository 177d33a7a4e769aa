"""Everything a report tells, worked out and not yet drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from marlrun import __version__
from marlrun.report.analysis import groups, references, results
from marlrun.report.analysis.curves import Curve, curve
from marlrun.report.analysis.groups import Group
from marlrun.report.analysis.references import ANTICIPATED, RETURN, Task, is_return
from marlrun.report.analysis.results import Comparison, Final, Improvement
from marlrun.report.analysis.sensitivity import View, views
from marlrun.report.data import read
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Run, Trial

Track = Callable[[Sequence[Path]], Iterable[Path]]
"""Hands on what it is given, and may show how far it is."""
LABELS = {
    RETURN: "return per episode [reward]",
    ANTICIPATED: "anticipated return [reward]",
    "eval/return_fraction": "return [fraction of the optimum]",
    "eval/length_mean": "episode length [env steps]",
    "perf/env_steps_per_s": "speed [env steps per second]",
    "perf/updates_per_s": "speed [updates per second]",
    "explore/epsilon": "exploration [probability]",
}


PER_STEP = "mean reward per step"


@dataclass(frozen=True)
class Measure:
    """What was found of one metric."""

    metric: str
    y: str
    """The metric as an axis says it."""
    tasks: list[Task]
    curves: list[Curve]
    finals: list[Final]

    @property
    def groups(self) -> list[Group]:
        """Return all groups."""
        return [group for task in self.tasks for group in task.groups]


@dataclass(frozen=True)
class Study:
    """What was found in the runs, by task and by algorithm."""

    measures: list[Measure]
    """One a metric; algorithms are compared by the first."""
    algorithms: list[str]
    """Best first, where that can be said of the metric."""
    views: list[View]
    comparison: Comparison | None
    improvements: list[Improvement]
    notes: Notes

    @property
    def headline(self) -> Measure:
        """Return the first metric's."""
        return self.measures[0]

    @property
    def is_ranked(self) -> bool:
        """Say whether higher is better."""
        return is_return(self.headline.metric)

    @property
    def runs(self) -> list[Run]:
        """Return all runs."""
        runs = [run for group in self.headline.groups for run in group.runs]
        return list({id(run): run for run in runs}.values())

    @property
    def finals(self) -> dict[str, list[Final]]:
        """Return the final results by metric."""
        return {one.metric: one.finals for one in self.measures}

    @property
    def curves(self) -> dict[str, list[Curve]]:
        """Return the curves by metric."""
        return {one.metric: one.curves for one in self.measures}


def gather(directories: Sequence[Path], notes: Notes) -> tuple[list[Path], list[read.Sweep]]:
    """Find all runs in and below directories; ValueError if there is none."""
    for directory in directories:
        if not directory.is_dir():
            raise ValueError(f"{directory}: no such directory")
    found, sweeps = read.find(directories, notes)
    if not found:
        where = ", ".join(map(str, directories))
        raise ValueError(f"{where}: no run found, expected run.json in or below it")
    return found, sweeps


def _no_metric(metric: str, trials: Sequence[Trial], notes: Notes) -> str:
    tags = sorted({tag for trial in trials for tag in trial.run.tags if "/" in tag})
    close = get_close_matches(metric, tags, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    known = f", they have {', '.join(tags)}" if tags and not close else ""
    why = "".join(f"; {line}" for line in notes.lines(3)) if not tags else ""
    return f"--metric {metric}: no run has it{guess}{known}{why}"


def study(
    directories: Sequence[Path], metrics: Sequence[str], by: Sequence[str] | None, track: Track
) -> Study:
    """Read runs and work out what there is to tell; ValueError if the user asks for what is not."""
    notes = Notes()
    found, sweeps = gather(directories, notes)
    measures: list[Measure] = []
    for metric in metrics:
        trials = [trial for one in track(found) for trial in read.read_run(one, metric, notes)]
        if not any(len(trial.steps) or trial.final is not None for trial in trials):
            raise ValueError(_no_metric(metric, trials, notes))
        measures.append(_measure(metric, groups.group(trials, sweeps, by, notes), notes))
    first = measures[0]
    algorithms = list(dict.fromkeys(group.algorithm for group in first.groups))
    if is_return(first.metric):
        algorithms = results.ranked(first.finals, algorithms)
    done = Study(
        measures,
        algorithms,
        views({one.metric: one.finals for one in measures}),
        results.compare(first.finals, first.y, notes) if first.finals else None,
        results.improvements(first.finals, algorithms),
        notes,
    )
    _note_versions(done.runs, notes)
    if first.curves and not any(one.has_clock for one in first.curves):
        notes.add("No figure over wall time: the runs did not log perf/seconds")
    return done


def _measure(metric: str, found: Sequence[Group], notes: Notes) -> Measure:
    tasks = references.tasks(found, metric, notes)
    curves = [drawn for group in found if (drawn := curve(group, metric, notes))]
    finals = results.finals(tasks, metric, notes)
    return Measure(metric, _label(metric, found), tasks, curves, finals)


def _label(metric: str, found: Sequence[Group]) -> str:
    """Return the metric's name and unit; what a return is, the game says."""
    label = LABELS.get(metric, metric)
    if metric == RETURN and all(one.runs[0].record.get("continuing") for one in found):
        return PER_STEP
    discounts = [read.number(one.runs[0].settings.get("env.discount")) < 1 for one in found]
    if metric != RETURN or not any(discounts):
        return label
    return f"discounted {label}" if all(discounts) else f"return (some discounted){label[6:]}"


def _note_versions(runs: Iterable[Run], notes: Notes) -> None:
    """Note runs of other versions than this one."""
    counts: dict[str, int] = {}
    for run in runs:
        version = str(read.mapping(run.record.get("versions")).get("marlrun", "unknown"))
        counts[version] = counts.get(version, 0) + 1
    if set(counts) != {__version__}:
        for version, count in counts.items():
            sentence = f"Runs of other versions of marlrun than this one, {__version__}"
            notes.add(sentence, f"{version} ({count} run{'s' * (count > 1)})")
