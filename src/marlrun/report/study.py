"""Everything a report tells, worked out and not yet drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from marlrun import __version__
from marlrun.report import groups, read, references, results
from marlrun.report.curves import Curve, curve
from marlrun.report.groups import Group
from marlrun.report.notes import Notes
from marlrun.report.read import Run, Trial
from marlrun.report.references import RETURN, Task
from marlrun.report.results import Comparison, Final, Improvement
from marlrun.report.views import View, views

Track = Callable[[Sequence[Path]], Iterable[Path]]
"""Hands on what it is given, and may show how far it is."""
LABELS = {
    RETURN: "return per episode [reward]",
    "eval/return_fraction": "return [fraction of the optimum]",
    "eval/length_mean": "episode length [env steps]",
    "perf/env_steps_per_s": "speed [env steps per second]",
    "perf/updates_per_s": "speed [updates per second]",
    "explore/epsilon": "exploration [probability]",
}


@dataclass(frozen=True)
class Study:
    """What was found in the runs, by task and by algorithm."""

    metric: str
    y: str
    """The metric as an axis says it."""
    runs: list[Run]
    tasks: list[Task]
    algorithms: list[str]
    """Best first."""
    curves: list[Curve]
    finals: list[Final]
    views: list[View]
    comparison: Comparison | None
    improvements: list[Improvement]
    notes: Notes

    @property
    def groups(self) -> list[Group]:
        """Return all groups."""
        return [group for task in self.tasks for group in task.groups]


def gather(
    directories: Iterable[Path], metric: str, notes: Notes, track: Track
) -> tuple[list[Trial], list[read.Sweep]]:
    """Read all runs in and below directories; ValueError if none has the metric."""
    directories = list(directories)
    for directory in directories:
        if not directory.is_dir():
            raise ValueError(f"{directory}: no such directory")
    found, sweeps = read.find(directories, notes)
    if not found:
        where = ", ".join(map(str, directories))
        raise ValueError(f"{where}: no run found, expected run.json in or below it")
    trials = [trial for one in track(found) for trial in read.read_run(one, metric, notes)]
    if not any(len(trial.steps) or trial.final is not None for trial in trials):
        raise ValueError(_no_metric(metric, trials, notes))
    return trials, sweeps


def _no_metric(metric: str, trials: Sequence[Trial], notes: Notes) -> str:
    tags = sorted({tag for trial in trials for tag in trial.run.tags if "/" in tag})
    close = get_close_matches(metric, tags, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    known = f", they have {', '.join(tags)}" if tags and not close else ""
    why = "".join(f"; {line}" for line in notes.lines(3)) if not tags else ""
    return f"--metric {metric}: no run has it{guess}{known}{why}"


def study(
    directories: Iterable[Path], metric: str, by: Sequence[str] | None, track: Track
) -> Study:
    """Read runs and work out what there is to tell; ValueError if the user asks for what is not."""
    notes = Notes()
    trials, sweeps = gather(directories, metric, notes, track)
    found = groups.group(trials, sweeps, by, notes)
    tasks = references.tasks(found, metric, notes)
    y = _label(metric, found)
    curves = [drawn for group in found if (drawn := curve(group, notes))]
    finals = results.finals(tasks, metric, notes)
    names = list(dict.fromkeys(group.algorithm for group in found))
    algorithms = results.ranked(finals, names)
    runs = list({id(trial.run): trial.run for trial in trials}.values())
    _note_versions(runs, notes)
    if curves and not any(one.has_clock for one in curves):
        notes.add("No figure over wall time: the runs did not log perf/seconds")
    return Study(
        metric,
        y,
        runs,
        tasks,
        algorithms,
        curves,
        finals,
        views(finals),
        results.compare(finals, y, notes) if finals else None,
        results.improvements(finals, algorithms),
        notes,
    )


def _label(metric: str, found: Sequence[Group]) -> str:
    """Return the metric's name and unit; a return is discounted where its game says so."""
    label = LABELS.get(metric, metric)
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
