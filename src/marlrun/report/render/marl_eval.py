"""Results in the JSON format of the package marl-eval (github.com/instadeepai/marl-eval, README).

environment -> task -> algorithm -> run -> {"step_k": {"step_count": .., metric: [value]}, ..,
"absolute_metrics": {metric: [value]}}. It compares algorithms only over equal seeds, tasks and
steps, and takes no comma in a name of an algorithm.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from marlrun.report.analysis.groups import Group
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import Trial

WHERE = "marl_eval.json"


def dump(groups: Sequence[Group], metric: str, notes: Notes) -> str:
    """Return the document; seeds it can't hold are noted and left out."""
    name = json.dumps(metric.rpartition("/")[2].removesuffix("_mean"))
    found: dict[str, dict[str, dict[str, str]]] = {}
    shapes: set[tuple[tuple[str, int], ...]] = set()
    for group in groups:
        kept = _kept(group, notes)
        if kept:
            task = found.setdefault(group.parts["env"], {}).setdefault(group.task, {})
            runs = {seed: _run(trial, name) for seed, trial in kept.items()}
            task[group.algorithm.replace(",", ";")] = _object(runs)
            shapes.add(tuple((seed, len(trial.steps)) for seed, trial in kept.items()))
    if len(shapes) > 1:
        notes.add(f"{WHERE}: marl-eval wants equal seeds and steps in all groups, these are not")
    tasks = {env: {task: _object(a) for task, a in tasks.items()} for env, tasks in found.items()}
    return _object({env: _object(algorithms) for env, algorithms in tasks.items()})


def _kept(group: Group, notes: Notes) -> dict[str, Trial]:
    kept: dict[str, Trial] = {}
    for trial in group.trials:
        if trial.final is None or np.isnan([trial.final, *trial.values]).any():
            notes.add(f"Seeds left out of {WHERE}: not finished, or not all numbers", trial.where)
        else:
            seed = f"seed_{trial.seed}"
            kept[seed if seed not in kept else f"{seed}_{len(kept)}"] = trial
    return kept


def _run(trial: Trial, name: str) -> str:
    points = zip(trial.steps.tolist(), trial.values.tolist(), strict=True)
    steps = {
        f"step_{i}": f'{{"step_count":{count},{name}:[{value!r}]}}'
        for i, (count, value) in enumerate(points)
    }
    return _object(steps | {"absolute_metrics": f"{{{name}:[{trial.final!r}]}}"})


def _object(members: Mapping[str, str]) -> str:
    """Return a JSON object of members that are JSON; `json.dumps` of a million steps is slow."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members.items()) + "}"
