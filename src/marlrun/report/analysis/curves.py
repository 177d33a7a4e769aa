"""Learning curves of groups: what all seeds of a group share, never more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marlrun.report.analysis import statistics
from marlrun.report.analysis.groups import Group
from marlrun.report.data.arrays import Bools, Floats, Ints
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Trial


@dataclass(frozen=True)
class Curve:
    """A group's interquartile mean over its seeds at `steps`, with its interval; NaN is a gap."""

    group: Group
    steps: Ints
    iqm: Floats
    low: Floats
    high: Floats
    num_seeds: Ints
    """How many seeds there are at each step; fewer than in the group where some ended before."""
    seconds: Floats
    """Mean wall time of the seeds' runs; NaN where one did not log it."""

    @property
    def is_whole(self) -> Floats:
        """Return 1. where all the group's seeds are, NaN elsewhere."""
        return np.where(self.num_seeds == len(self.group.trials), 1.0, np.nan)

    @property
    def has_clock(self) -> bool:
        """Say whether it can be drawn over wall time."""
        return bool(np.any(self.seconds > 0))


def curve(group: Group, metric: str, notes: Notes) -> Curve | None:
    """Return the group's curve; None, with a note, if there is none."""
    trials = [trial for trial in group.trials if len(trial.steps)]
    if not trials:
        notes.add(f"Groups without a learning curve: {metric} was not logged", group.label)
        return None
    steps = np.unique(np.concatenate([trial.steps for trial in trials]))
    present, values, seconds = _align(trials, steps)
    shared = _shared(trials, steps, present)
    if not shared.all():
        about = f"{group.label} ({(~shared).sum()} of {len(steps)} left out)"
        notes.add(
            "Curves drawn only at steps at which all of a group's seeds were evaluated", about
        )
    steps, present = steps[shared], present[shared]
    values, seconds = values[shared], seconds[shared]
    _note_ends(group, trials, notes)
    gaps: Bools = np.any(present & np.isnan(values), axis=1)
    iqm, low, high = statistics.curve(np.where(gaps[:, None], np.nan, values))
    with np.errstate(invalid="ignore"):
        clock = np.where(present, seconds, 0).sum(1) / np.maximum(present.sum(1), 1)
    return Curve(group, steps, iqm, low, high, present.sum(1), clock)


def _align(trials: Sequence[Trial], steps: Ints) -> tuple[Bools, Floats, Floats]:
    """Return who is present, values and seconds, each [steps, trials]."""
    values, seconds = np.full((2, len(steps), len(trials)), np.nan)
    present = np.zeros(values.shape, dtype=np.bool_)
    for column, trial in enumerate(trials):
        rows = np.searchsorted(steps, trial.steps)
        present[rows, column] = True
        values[rows, column] = trial.values
        seconds[rows, column] = trial.seconds
    return present, values, seconds


def _shared(trials: Sequence[Trial], steps: Ints, present: Bools) -> Bools:
    """Say at which steps every seed was evaluated that began before and ended after."""
    first = np.array([trial.steps[0] for trial in trials])
    last = np.array([trial.steps[-1] for trial in trials])
    began, ended = steps[:, None] >= first, steps[:, None] > last
    fine: Bools = np.all(present | ~began | ended, axis=1)
    return fine


def _note_ends(group: Group, trials: Sequence[Trial], notes: Notes) -> None:
    """Note seeds that end early and values that are not numbers."""
    ends = [int(trial.steps[-1]) for trial in trials]
    if min(ends) < max(ends) or len(trials) < len(group.trials):
        fewest = (
            f"{sum(end == max(ends) for end in ends)} of {len(group.trials)} seeds reach the end"
        )
        notes.add(
            "Curves dotted where not all of a group's seeds reach", f"{group.label} ({fewest})"
        )
    for trial in trials:
        bad = np.isnan(trial.values)
        if bad.any():
            first = trial.steps[bad][0]
            about = f"{trial.where} ({bad.sum()} of {len(bad)} values, the first at step {first})"
            notes.add("Values that are not numbers: gaps in the curves, marked by a cross", about)
