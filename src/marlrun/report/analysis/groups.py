"""Groups of trials: a task is a game and a budget; an algorithm is all else that differs."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from marlrun.config.older import RENAMED
from marlrun.config.schema import did_you_mean, show
from marlrun.config.tasks import in_short
from marlrun.config.unit import Unit, plural
from marlrun.report.data.notes import Notes
from marlrun.report.data.read import CHOICES, Run, Sweep, Trial, items

BOOKKEEPING = frozenset(
    {"mode", "seed", "replicas", "device", "threads", "plugins", "eval"}
    | {"checkpoint", "log", "paper", "choices", "hydra", "run", "objective", "resume"}
)
"""Root keys that say how a run was carried out and observed, not what was run."""
Texts = dict[str, str]


@dataclass(frozen=True)
class Group:
    """The seeds of one algorithm on one task."""

    parts: dict[str, str]
    """What each key that tells groups apart says of this group: "env.size" -> "size=8"."""
    settings: dict[str, Any]
    """The values of the keys that tell groups apart."""
    trials: list[Trial]

    @cached_property
    def task(self) -> str:
        """The name of the game, with the budget if runs of the game differ in it."""
        return self.task_without("")

    @cached_property
    def algorithm(self) -> str:
        """The name of the algorithm, with the settings that differ."""
        return self.algorithm_without("")

    def task_without(self, key: str) -> str:
        """Return the name of the task without what `key` says."""
        parts = self.parts.items()
        return " ".join(part for name, part in parts if is_task_key(name) and name != key)

    def algorithm_without(self, key: str) -> str:
        """Return the name of the algorithm without what `key` says."""
        parts = self.parts.items()
        return " ".join(part for name, part in parts if not is_task_key(name) and name != key)

    @property
    def unit(self) -> Unit:
        """Return what its runs count: those of different units are never in one group."""
        return self.trials[0].run.unit

    @cached_property
    def runs(self) -> list[Run]:
        """The runs from which the trials are."""
        return list({id(trial.run): trial.run for trial in self.trials}.values())

    @property
    def label(self) -> str:
        """The name of the group in notes."""
        return f"{self.algorithm} on {self.task}"


def is_compared(key: str) -> bool:
    """Say whether runs that differ in this key are different experiments."""
    return key.partition(".")[0] not in BOOKKEEPING


def is_task_key(key: str) -> bool:
    """Say whether a key belongs to the game or its budget; the number of copies does not."""
    return key in ("env", "env_steps", "updates", "unit") or (
        key.startswith("env.") and key != "env.num_envs"
    )


def distinct(trials: Sequence[Trial], by: Sequence[str], notes: Notes) -> list[Trial]:
    """Return one trial for each seed of each experiment, the best where there are several."""
    best: dict[str, Trial] = {}
    identities = {id(trial.run): "" for trial in trials}
    for trial in trials:
        identity = identities[id(trial.run)] or _identity(trial.run, by)
        identities[id(trial.run)] = identity
        key = f"{identity} {trial.seed}"
        if key not in best:
            best[key] = trial
            continue
        worse, best[key] = sorted((trial, best[key]), key=_merit)
        sentence = "Seeds found twice with the same settings, counted once"
        notes.add(sentence, f"{worse.label} (kept: {best[key].run.name})")
    return list(best.values())


def _identity(run: Run, by: Sequence[str]) -> str:
    settings = run.settings
    compared = {key: settings[key] for key in settings if is_compared(key) or key in by}
    return json.dumps(compared, sort_keys=True, default=str)


def _merit(trial: Trial) -> tuple[bool, int, str, str]:
    """Return a key that sorts a finished trial, then a longer one, then a newer one to the end."""
    steps = int(trial.steps[-1]) if len(trial.steps) else -1
    started = str(trial.run.record.get("started"))
    return trial.final is not None, steps, started, trial.run.name


def group(
    trials: Sequence[Trial], sweeps: Iterable[Sweep], by: Sequence[str] | None, notes: Notes
) -> list[Group]:
    """Return the groups, sorted by name, in which numbers have their natural order.

    `by` names the keys that tell groups apart. Without it, those are the keys in which runs differ,
    except keys that follow from others; runs that differ only in their `name` are different groups.
    What runs count always tells them apart. ValueError if no run has a key of `by`.
    """
    runs = list({id(trial.run): trial.run for trial in trials}.values())
    texts = [{key: _text(value) for key, value in run.settings.items()} for run in runs]
    differing = [key for key in _differing(texts) if is_compared(key)]
    if by is None:
        swept = [key for sweep in sweeps for key in sweep.swept]
        # A name that was typed for every size of a game would make an algorithm of every size.
        first_keys = [key for key in ["unit", *swept, *_typed_keys(runs)] if key != "name"]
        first_keys = [name for key in first_keys for name in (key, RENAMED.get(key, key))]
        names = short(_distinguishing_keys(texts, differing, first_keys))
    else:
        _check(by, texts)
        names = short(dict.fromkeys(["env", *(["unit"] if "unit" in differing else []), *by]))
    cells = {id(run): _cell(text, names) for run, text in zip(runs, texts, strict=True)}
    members: dict[str, list[Trial]] = {}
    for trial in distinct(trials, by or (), notes):
        members.setdefault(cells[id(trial.run)], []).append(trial)
    groups = sorted((_group(same_cell, names) for same_cell in members.values()), key=_natural)
    for key in differing if by is not None else ():
        if key not in names:
            _note_pooled(key, groups, notes)
    return groups


def _group(trials: list[Trial], names: dict[str, str]) -> Group:
    settings = trials[0].run.settings
    values = {key: settings[key] for key in names if key in settings}
    algorithms = dict.fromkeys(trial.run.choice("algo") for trial in trials)
    parts = {"env": str(settings["env"]), "algo": " + ".join(algorithms)}
    for key in values:
        if key == "unit":
            parts[key] = f"over {plural(settings[key])}"
        elif key not in CHOICES and (key, settings[key]) != ("name", None):
            parts[key] = f"{names[key]}={_text(settings[key])}"
    return Group(parts, values, sorted(trials, key=lambda trial: trial.seed))


def _natural(group: Group) -> list[tuple[float, str]]:
    parts = re.split(r"(\d+(?:\.\d+)?)", f"{group.task} | {group.algorithm}")
    return [(float(part), "") if i % 2 else (-1.0, part) for i, part in enumerate(parts)]


def short(keys: Iterable[str]) -> dict[str, str]:
    """Return a short name for each dotted key: its last part, unless two keys share that."""
    keys = list(keys)
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _distinguishing_keys(
    texts: Sequence[Texts], differing: list[str], first_keys: Iterable[str]
) -> list[str]:
    """Return those of `first_keys` that differ, and other keys only where they split a group.

    A name tells less than a setting, so it comes last.
    """
    distinguishing = [*CHOICES, *(key for key in dict.fromkeys(first_keys) if key in differing)]
    for key in sorted(differing, key=lambda key: key == "name"):
        finer, coarse = (
            {_cell(text, keys) for text in texts}
            for keys in ([*distinguishing, key], distinguishing)
        )
        if len(finer) > len(coarse):
            distinguishing.append(key)
    return list(dict.fromkeys(distinguishing))


def _cell(text: Texts, keys: Iterable[str]) -> str:
    return "\n".join(text.get(key, "") for key in keys)


def _text(value: Any) -> str:
    if not isinstance(value, list):
        return show(value)
    return in_short(cast("list[Any]", value)) or json.dumps(value, separators=(",", ":"))


def _differing(texts: Sequence[Texts]) -> list[str]:
    keys = dict.fromkeys(key for text in texts for key in text)
    return [key for key in keys if len({text.get(key, "") for text in texts}) > 1]


def _typed_keys(runs: Iterable[Run]) -> dict[str, None]:
    """Return the keys that were typed on the command lines of the runs."""
    words = [str(word) for run in runs for word in items(run.record.get("argv"))]
    return dict.fromkeys(word.partition("=")[0].lstrip("+~") for word in words)


def _check(by: Sequence[str], texts: Iterable[Texts]) -> None:
    keys = list(dict.fromkeys(key for text in texts for key in text))
    for key in by:
        if key not in keys:
            if RENAMED.get(key) in keys:
                raise ValueError(f"--by {key}: expected {RENAMED[key]}, its new name")
            raise ValueError(f"--by {key}: no run has this key{did_you_mean(key, keys)}")


def _note_pooled(key: str, groups: Iterable[Group], notes: Notes) -> None:
    for group in groups:
        values = dict.fromkeys(_text(run.settings.get(key, "none")) for run in group.runs)
        if len(values) > 1:
            subject = f"{group.label} ({', '.join(values)})"
            notes.add(f"Groups that pool runs which differ in {key}", subject)
