"""Which trials are compared: a task is a game and a budget, an algorithm all else that differs."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marlrun.config.schema import did_you_mean, show
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import CHOICES, Run, Sweep, Trial, items

BOOKKEEPING = frozenset(
    {"mode", "name", "seed", "replicas", "device", "threads", "plugins", "eval"}
    | {"checkpoint", "log", "paper", "choices", "hydra", "run", "objective", "resume"}
)
"""Root keys that say how a run was carried out and watched, not what was run."""
Texts = dict[str, str]


@dataclass(frozen=True)
class Group:
    """The seeds of one algorithm on one task."""

    parts: dict[str, str]
    """What the keys that tell groups apart say of this one: "env.size" -> "size=8"."""
    settings: dict[str, Any]
    """The values of these keys."""
    trials: list[Trial]

    @cached_property
    def task(self) -> str:
        """Return the name of the game, with the budget where that differs."""
        return self.task_without("")

    @cached_property
    def algorithm(self) -> str:
        """Return the name of the rest."""
        return self.algorithm_without("")

    def task_without(self, key: str) -> str:
        """Return the task's name without what one key says."""
        parts = self.parts.items()
        return " ".join(part for name, part in parts if is_task_key(name) and name != key)

    def algorithm_without(self, key: str) -> str:
        """Return the algorithm's name without what one key says."""
        parts = self.parts.items()
        return " ".join(part for name, part in parts if not is_task_key(name) and name != key)

    @cached_property
    def runs(self) -> list[Run]:
        """Return the runs its seeds are from."""
        return list({id(trial.run): trial.run for trial in self.trials}.values())

    @property
    def label(self) -> str:
        """Name it in a note."""
        return f"{self.algorithm} on {self.task}"


def is_compared(key: str) -> bool:
    """Say whether runs that differ in this key are different experiments."""
    return key.partition(".")[0] not in BOOKKEEPING


def is_task_key(key: str) -> bool:
    """Say whether a key belongs to the game or its budget; how many copies are played does not."""
    return key in ("env", "env_steps") or (key.startswith("env.") and key != "env.num_envs")


def distinct(trials: Sequence[Trial], by: Sequence[str], notes: Notes) -> list[Trial]:
    """Return the trials without those that repeat a seed of the same experiment."""
    kept: dict[str, Trial] = {}
    identities = {id(trial.run): "" for trial in trials}
    for trial in trials:
        found = identities[id(trial.run)] or _identity(trial.run, by)
        identities[id(trial.run)] = found
        other = kept.setdefault(f"{found} {trial.seed}", trial)
        if other is not trial:
            better, worse = sorted((trial, other), key=_merit, reverse=True)
            kept[f"{found} {trial.seed}"] = better
            same = "Seeds found twice with the same settings, counted once"
            notes.add(same, f"{worse.where} (kept: {better.run.name})")
    return list(kept.values())


def _identity(run: Run, by: Sequence[str]) -> str:
    flat = run.settings
    told = {key: flat[key] for key in flat if is_compared(key) or key in by}
    return json.dumps(told, sort_keys=True, default=str)


def _merit(trial: Trial) -> tuple[bool, int, str, str]:
    """Order trials of the same seed: finished ones first, then longer, then newer ones."""
    steps = int(trial.steps[-1]) if len(trial.steps) else -1
    started = str(trial.run.record.get("started"))
    return trial.final is not None, steps, started, trial.run.name


def group(
    trials: Sequence[Trial], sweeps: Iterable[Sweep], by: Sequence[str] | None, notes: Notes
) -> list[Group]:
    """Return the groups, by name, numbers in their order.

    `by` names the keys to tell groups apart by; without it those in which the runs differ, less
    those that follow from others. ValueError if no run has a key of `by`.
    """
    runs = list({id(trial.run): trial.run for trial in trials}.values())
    texts = [{key: _text(value) for key, value in run.settings.items()} for run in runs]
    differing = [key for key in _differing(texts) if is_compared(key)]
    if by is None:
        typed = [key for sweep in sweeps for key in sweep.swept] + [*_typed(runs)]
        names = short(_needed(texts, differing, typed))
    else:
        _check(by, texts)
        names = short(dict.fromkeys(["env", *by]))
    cells = {id(run): _cell(text, names) for run, text in zip(runs, texts, strict=True)}
    members: dict[str, list[Trial]] = {}
    for trial in distinct(trials, by or (), notes):
        members.setdefault(cells[id(trial.run)], []).append(trial)
    groups = sorted((_group(mine, names) for mine in members.values()), key=_natural)
    for key in differing if by is not None else ():
        if key not in names:
            _note_pooled(key, groups, notes)
    return groups


def _group(mine: list[Trial], names: dict[str, str]) -> Group:
    flat = mine[0].run.settings
    kept = {key: flat[key] for key in names if key in flat}
    algorithms = dict.fromkeys(trial.run.choice("algo") for trial in mine)
    parts = {"env": str(flat["env"]), "algo": " + ".join(algorithms)}
    for key in kept:
        if key not in CHOICES:
            parts[key] = f"{names[key]}={_text(flat[key])}"
    return Group(parts, kept, sorted(mine, key=lambda trial: trial.seed))


def _natural(one: Group) -> list[tuple[float, str]]:
    parts = re.split(r"(\d+(?:\.\d+)?)", f"{one.task} | {one.algorithm}")
    return [(float(part), "") if i % 2 else (-1.0, part) for i, part in enumerate(parts)]


def short(keys: Iterable[str]) -> dict[str, str]:
    """Return a short name of each dotted key: its last part, where only one key ends so."""
    keys = list(keys)
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _needed(texts: Sequence[Texts], differing: list[str], typed: Iterable[str]) -> list[str]:
    """Return the typed keys that differ, and others only where they split a group of runs."""
    chosen = [*CHOICES, *(key for key in dict.fromkeys(typed) if key in differing)]
    for key in differing:
        split, whole = ({_cell(text, keys) for text in texts} for keys in ([*chosen, key], chosen))
        if len(split) > len(whole):
            chosen.append(key)
    return list(dict.fromkeys(chosen))


def _cell(text: Texts, keys: Iterable[str]) -> str:
    return "\n".join(text.get(key, "") for key in keys)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else show(value)


def _differing(texts: Sequence[Texts]) -> list[str]:
    keys = dict.fromkeys(key for text in texts for key in text)
    return [key for key in keys if len({text.get(key, "") for text in texts}) > 1]


def _typed(runs: Iterable[Run]) -> dict[str, None]:
    """Return the keys typed on the command lines of the runs."""
    words = [str(word) for run in runs for word in items(run.record.get("argv"))]
    return dict.fromkeys(word.partition("=")[0].lstrip("+~") for word in words)


def _check(by: Sequence[str], texts: Iterable[Texts]) -> None:
    known = list(dict.fromkeys(key for text in texts for key in text))
    for key in by:
        if key not in known:
            raise ValueError(f"--by {key}: no run has this key{did_you_mean(key, known)}")


def _note_pooled(key: str, groups: Iterable[Group], notes: Notes) -> None:
    for one in groups:
        values = dict.fromkeys(_text(run.settings.get(key, "none")) for run in one.runs)
        if len(values) > 1:
            about = f"{one.label} ({', '.join(values)})"
            notes.add(f"Groups that pool runs which differ in {key}", about)
