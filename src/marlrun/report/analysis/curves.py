"""Learning curves of groups, at the steps that all seeds of a group share."""

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
    """Interquartile means over the seeds of a group, with intervals; NaN is a gap."""

    group: Group
    steps: Ints
    iqm: Floats
    low: Floats
    high: Floats
    num_seeds: Ints
    """How many seeds reach each step."""
    seconds: Floats
    """Mean wall time of the runs of the seeds; NaN if one of them did not log it."""

    @property
    def is_whole(self) -> Floats:
        """1. at steps that all seeds of the group reach, NaN elsewhere."""
        return np.where(self.num_seeds == len(self.group.trials), 1.0, np.nan)

    @property
    def has_clock(self) -> bool:
        """Whether the curve can be drawn over wall time."""
        return bool(np.any(self.seconds > 0))


def curve(group: Group, metric: str, notes: Notes) -> Curve | None:
    """Return the curve of a group; None, with a note, if there is none."""
    trials = [trial for trial in group.trials if len(trial.steps)]
    if not trials:
        notes.add(f"Groups without a learning curve: {metric} was not logged", group.label)
        return None
    steps = np.unique(np.concatenate([trial.steps for trial in trials]))
    present, values, seconds = _align(trials, steps)
    is_shared = _is_shared(trials, steps, present)
    if not is_shared.all():
        subject = f"{group.label} ({(~is_shared).sum()} of {len(steps)} left out)"
        notes.add(
            "Curves drawn only at steps at which all of a group's seeds were evaluated", subject
        )
    steps, present = steps[is_shared], present[is_shared]
    values, seconds = values[is_shared], seconds[is_shared]
    _note_ends(group, trials, notes)
    gaps: Bools = np.any(present & np.isnan(values), axis=1)
    iqm, low, high = statistics.curve(np.where(gaps[:, None], np.nan, values))
    with np.errstate(invalid="ignore"):
        clock = np.where(present, seconds, 0).sum(1) / np.maximum(present.sum(1), 1)
    return Curve(group, steps, iqm, low, high, present.sum(1), clock)


def _align(trials: Sequence[Trial], steps: Ints) -> tuple[Bools, Floats, Floats]:
    """Return which trials have a value, the values and the seconds, each [steps, trials]."""
    values, seconds = np.full((2, len(steps), len(trials)), np.nan)
    present = np.zeros(values.shape, dtype=np.bool_)
    for column, trial in enumerate(trials):
        rows = np.searchsorted(steps, trial.steps)
        present[rows, column] = True
        values[rows, column] = trial.values
        seconds[rows, column] = trial.seconds
    return present, values, seconds


def _is_shared(trials: Sequence[Trial], steps: Ints, present: Bools) -> Bools:
    """Say for each step whether it was evaluated by every seed whose steps lie around it."""
    starts = np.array([trial.steps[0] for trial in trials])
    ends = np.array([trial.steps[-1] for trial in trials])
    is_outside = (steps[:, None] < starts) | (steps[:, None] > ends)
    is_shared: Bools = np.all(present | is_outside, axis=1)
    return is_shared


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
        is_nan = np.isnan(trial.values)
        if is_nan.any():
            first_step = trial.steps[is_nan][0]
            count = f"{is_nan.sum()} of {len(is_nan)} values"
            subject = f"{trial.label} ({count}, the first at step {first_step})"
            notes.add("Values that are not numbers: gaps in the curves, marked by a cross", subject)
