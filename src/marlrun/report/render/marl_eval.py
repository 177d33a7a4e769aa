"""Results in the JSON format of the package marl-eval (github.com/instadeepai/marl-eval, README).

environment -> task -> algorithm -> run -> {"step_k": {"step_count": .., metric: [value]}, ..,
"absolute_metrics": {metric: [value]}}. The package compares
algorithms only over equal seeds, tasks and steps, and takes no comma in the name of an algorithm.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from marlrun.report.analysis.groups import Group
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Trial

FILE_NAME = "marl_eval.json"


def dump(groups: Sequence[Group], metric: str, notes: Notes) -> str:
    """Return the document; seeds that it cannot hold are left out, with a note."""
    name = json.dumps(metric.rpartition("/")[2].removesuffix("_mean"))
    environments: dict[str, dict[str, dict[str, str]]] = {}
    shapes: set[tuple[tuple[str, int], ...]] = set()
    for group in groups:
        trials = _trials(group, notes)
        if trials:
            task = environments.setdefault(group.parts["env"], {}).setdefault(group.task, {})
            runs = {seed: _run(trial, name) for seed, trial in trials.items()}
            task[group.algorithm.replace(",", ";")] = _object(runs)
            shapes.add(tuple((seed, len(trial.steps)) for seed, trial in trials.items()))
    if len(shapes) > 1:
        notes.add(
            f"{FILE_NAME}: marl-eval wants equal seeds and steps in all groups, these are not"
        )
    tasks = {
        env: {task: _object(algorithms) for task, algorithms in tasks.items()}
        for env, tasks in environments.items()
    }
    return _object({env: _object(algorithms) for env, algorithms in tasks.items()})


def _trials(group: Group, notes: Notes) -> dict[str, Trial]:
    trials: dict[str, Trial] = {}
    for trial in group.trials:
        if trial.final is None or np.isnan([trial.final, *trial.values]).any():
            notes.add(
                f"Seeds left out of {FILE_NAME}: not finished, or not all numbers", trial.label
            )
        else:
            seed = f"seed_{trial.seed}"
            trials[seed if seed not in trials else f"{seed}_{len(trials)}"] = trial
    return trials


def _run(trial: Trial, name: str) -> str:
    points = zip(trial.steps.tolist(), trial.values.tolist(), strict=True)
    steps = {
        f"step_{i}": f'{{"step_count":{count},{name}:[{value!r}]}}'
        for i, (count, value) in enumerate(points)
    }
    return _object(steps | {"absolute_metrics": f"{{{name}:[{trial.final!r}]}}"})


def _object(members: Mapping[str, str]) -> str:
    """Return a JSON object of members that are JSON already; json.dumps is slow for many steps."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members.items()) + "}"
