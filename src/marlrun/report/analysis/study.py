"""Everything that a report says, as data; render/ writes and draws it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from marlrun.report.analysis import groups, references, results
from marlrun.report.analysis.curves import Curve, curve
from marlrun.report.analysis.groups import Group
from marlrun.report.analysis.references import ANTICIPATED, RETURN, Task, is_return
from marlrun.report.analysis.results import Comparison, Final, Improvement
from marlrun.report.analysis.sensitivity import View, views
from marlrun.report.data import read
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Run, Trial
from marlrun.version import __version__

Track = Callable[[Sequence[Path]], Iterable[Path]]
"""A function that yields the same paths, and may show how many are done."""
LABELS = {
    RETURN: "return per episode [reward]",
    ANTICIPATED: "anticipated return [reward]",
    "eval/return_fraction": "return [fraction of the optimum]",
    "eval/length_mean": "episode length [env steps]",
    "perf/env_steps_per_s": "speed [env steps per second]",
    "data/env_steps": "steps played by teachers [env steps]",
    "perf/updates_per_s": "speed [updates per second]",
    "explore/epsilon": "exploration [probability]",
}


PER_STEP = "mean reward per step"


@dataclass(frozen=True)
class Measure:
    """The curves and final results of one metric."""

    metric: str
    y: str
    """The label of an axis for the metric."""
    tasks: list[Task]
    curves: list[Curve]
    finals: list[Final]

    @property
    def groups(self) -> list[Group]:
        """The groups of all tasks."""
        return [group for task in self.tasks for group in task.groups]


@dataclass(frozen=True)
class Study:
    """What the runs show, by task and by algorithm."""

    measures: list[Measure]
    """A measure for each metric; algorithms are compared by the first."""
    algorithms: list[str]
    """Their names, best first if higher values of the metric are known to be better."""
    views: list[View]
    comparison: Comparison | None
    improvements: list[Improvement]
    notes: Notes

    @property
    def headline(self) -> Measure:
        """The measure of the first metric."""
        return self.measures[0]

    @property
    def is_ranked(self) -> bool:
        """Whether higher values of the first metric are better."""
        return is_return(self.headline.metric)

    @property
    def runs(self) -> list[Run]:
        """The runs from which the groups are."""
        runs = [run for group in self.headline.groups for run in group.runs]
        return list({id(run): run for run in runs}.values())

    @property
    def finals(self) -> dict[str, list[Final]]:
        """The final results by metric."""
        return {measure.metric: measure.finals for measure in self.measures}

    @property
    def curves(self) -> dict[str, list[Curve]]:
        """The curves by metric."""
        return {measure.metric: measure.curves for measure in self.measures}


def gather(directories: Sequence[Path], notes: Notes) -> tuple[list[Path], list[read.Sweep]]:
    """Return all runs and sweeps in and below directories; ValueError if there is no run."""
    for directory in directories:
        if not directory.is_dir():
            raise ValueError(f"{directory}: no such directory")
    runs, sweeps = read.find(directories, notes)
    if not runs:
        names = ", ".join(map(str, directories))
        raise ValueError(f"{names}: no run found, expected run.json in or below it")
    return runs, sweeps


def _no_metric(metric: str, trials: Sequence[Trial], notes: Notes) -> str:
    tags = sorted({tag for trial in trials for tag in trial.run.tags if "/" in tag})
    close = get_close_matches(metric, tags, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    tags_listed = f", they have {', '.join(tags)}" if tags and not close else ""
    reasons = "".join(f"; {line}" for line in notes.lines(3)) if not tags else ""
    return f"--metric {metric}: no run has it{guess}{tags_listed}{reasons}"


def study(
    directories: Sequence[Path], metrics: Sequence[str], by: Sequence[str] | None, track: Track
) -> Study:
    """Read runs and return what they show; ValueError if no run has a metric or a key of `by`."""
    notes = Notes()
    run_directories, sweeps = gather(directories, notes)
    measures: list[Measure] = []
    for metric in metrics:
        trials = [
            trial
            for directory in track(run_directories)
            for trial in read.read_run(directory, metric, notes)
        ]
        if not any(len(trial.steps) or trial.final is not None for trial in trials):
            raise ValueError(_no_metric(metric, trials, notes))
        measures.append(_measure(metric, groups.group(trials, sweeps, by, notes), notes))
    headline = measures[0]
    algorithms = list(dict.fromkeys(group.algorithm for group in headline.groups))
    if is_return(headline.metric):
        algorithms = results.ranked(headline.finals, algorithms)
    result = Study(
        measures,
        algorithms,
        views({measure.metric: measure.finals for measure in measures}),
        results.compare(headline.finals, headline.y, notes) if headline.finals else None,
        results.improvements(headline.finals, algorithms),
        notes,
    )
    _note_versions(result.runs, notes)
    if headline.curves and not any(group_curve.has_clock for group_curve in headline.curves):
        notes.add("No figure over wall time: the runs did not log perf/seconds")
    return result


def _measure(metric: str, members: Sequence[Group], notes: Notes) -> Measure:
    tasks = references.tasks(members, metric, notes)
    curves = [group_curve for group in members if (group_curve := curve(group, metric, notes))]
    finals = results.finals(tasks, metric, notes)
    return Measure(metric, _label(metric, members), tasks, curves, finals)


def _label(metric: str, members: Sequence[Group]) -> str:
    """Return the name and unit of a metric; the environment decides what a return is."""
    label = LABELS.get(metric, metric)
    if metric == RETURN and all(group.runs[0].record.get("continuing") for group in members):
        return PER_STEP
    discounts = [_discount(group.runs[0].settings) < 1 for group in members]
    if metric != RETURN or not any(discounts):
        return label
    return f"discounted {label}" if all(discounts) else f"return (some discounted){label[6:]}"


def _discount(settings: read.Object) -> float:
    """Return the discount of a run's game, which all tasks of env=tasks have in common."""
    first_task = next(iter(read.items(settings.get("env.tasks"))), None)
    return read.number(read.mapping(first_task).get("discount", settings.get("env.discount")))


def _note_versions(runs: Iterable[Run], notes: Notes) -> None:
    """Add a note about runs of other versions of marlrun than this one."""
    counts: dict[str, int] = {}
    for run in runs:
        version = str(read.mapping(run.record.get("versions")).get("marlrun", "unknown"))
        counts[version] = counts.get(version, 0) + 1
    if set(counts) != {__version__}:
        for version, count in counts.items():
            sentence = f"Runs of other versions of marlrun than this one, {__version__}"
            notes.add(sentence, f"{version} ({count} run{'s' * (count > 1)})")
