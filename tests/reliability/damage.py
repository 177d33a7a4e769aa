"""Run and sweep directories that were damaged, or that a stranger made to do harm."""

import json
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from report import damage

from reliability import accidents
from reliability.desk import BUDGET, JOBS, Desk, Ended, complaint, contents, difference, run


def damaged_runs(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Damage a file of an interrupted or a finished run, then go on with it, measure or report it.

    A refusal changes nothing; what goes on goes on to the same numbers, or says what it lost.
    """
    while True:
        words = [*JOBS[rng.choice(list(JOBS))], *BUDGET]
        whole, _ = desk.undisturbed(words)
        place, is_finished = desk.fresh(), rng.random() < 0.3
        directory = place / "run"
        _make_run(rng, desk, words, directory, is_finished)
        files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
        if not files:
            continue
        path = rng.choice(files)
        kind = _damage(rng, path)
        verb = rng.choice(["resume", "resume", "eval", "report"])
        is_another = path.name == "config.yaml"  # What it says now may be another experiment.
        verdict = _judge_run(place, verb, directory, whole, is_another)
        name = f"{path.relative_to(directory)} {kind}"
        yield verdict and f"{verb}, {name}: {verdict} ({' '.join(words)})"


def links(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Replace a file or directory of a run or sweep by a link to one elsewhere; that one stays."""
    while True:
        is_sweep = rng.random() < 0.3
        place = desk.fresh()
        directory, outside = place / "run", place / "outside"
        if is_sweep:
            words = ["-m", "algo=random", "env=matrix_game", "seed=0,5", *BUDGET]
            _make_sweep(rng, desk, words, directory)
        else:
            words = [*JOBS[rng.choice(list(JOBS))], *BUDGET]
            _make_run(rng, desk, words, directory, rng.random() < 0.3)
        paths = sorted(directory.rglob("*"))
        if not paths:
            continue
        path = rng.choice(paths)
        path.rename(outside)
        path.symlink_to(outside)
        before = contents(place / "outside") if outside.is_dir() else outside.read_bytes()
        command = rng.choice([["mode=resume", "run=run"], [*words, _target(is_sweep)]])
        if not is_sweep and rng.random() < 0.4:
            command = ["mode=eval", "run=run", "episodes=4", "video=true"]
        ended = run(command, place)
        after = contents(place / "outside") if outside.is_dir() else outside.read_bytes()
        verdict = complaint(ended, [0, 1, 2])
        if before != after:
            verdict = f"written through the link: exit {ended.code} {ended.err[-200:]!r}"
        yield verdict and f"{command[:2]}, {path.relative_to(directory)}: {verdict}"


def damaged_sweeps(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Damage a file of an interrupted sweep, then resume it; healthy jobs come to their numbers."""
    words = ["-m", "algo=random,networked_ac_q", "env=public_goods", "seed=0,5", *BUDGET]
    whole, _ = desk.undisturbed(words)
    while True:
        place = desk.fresh()
        directory = place / "run"
        _make_sweep(rng, desk, words, directory)
        files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
        if not files:
            continue
        path = rng.choice([directory / "sweep.json", rng.choice(files)])
        kind = _damage(rng, path)
        before = contents(place)
        ended = run(["mode=resume", "run=run"], place)
        verdict = complaint(ended, [0, 1, 2])
        if verdict is None and ended.code == 2 and contents(place) != before:
            verdict = f"a refusal changed files: {ended.err!r}"
        if strays := {entry.name for entry in place.iterdir()} - {"run"}:
            verdict = f"made {strays}"
        if verdict is None and ended.code == 0 and path.suffix not in (".json", ".yaml"):
            for job in sorted(whole.glob("*/")):
                verdict = verdict or _difference_unless_mended(directory / job.name, job, ended)
        yield verdict and f"{path.relative_to(directory)} {kind}: {verdict}"


def _judge_run(
    place: Path, verb: str, directory: Path, whole: Path, is_another: bool
) -> str | None:
    before = contents(directory)
    command, program = {
        "resume": (["mode=resume", "run=run"], "marlrun"),
        "eval": (["mode=eval", "run=run", "episodes=4"], "marlrun"),
        "report": (["run", "--out", "report"], "marlrun-report"),
    }[verb]
    ended = run(command, place, program=program)
    if verdict := complaint(ended, [0, 1, 2]):
        return verdict
    if (verb != "resume" or ended.code == 2) and contents(directory) != before:
        return f"exit {ended.code}, but the run was changed: {ended.err!r}"
    if strays := {entry.name for entry in place.iterdir()} - {"run", "report"}:
        return f"made {strays}"
    if verb == "resume" and ended.code == 0 and not is_another:
        return _difference_unless_mended(directory, whole, ended)
    return None


def _difference_unless_mended(directory: Path, whole: Path, ended: Ended) -> str | None:
    """Compare two runs, unless what was lost is said, or nothing was done: it was finished."""
    log = directory / "marlrun.log"
    said = ended.err + (log.read_text() if log.is_file() else "")
    record = json.loads((directory / "run.json").read_text())
    is_untouched = "resumed" not in record and record.get("status") == "finished"
    return None if is_untouched or "takes its place" in said else difference(directory, whole)


def _damage(rng: random.Random, path: Path) -> str:
    """Damage a file in one way; return its name."""
    is_document = path.suffix in (".json", ".yaml")
    ways = [way for way in damage.WAYS if is_document or way is not damage.edit]
    if path.suffix == ".pt":
        ways += [damage.flip_bits, damage.cut]
    if is_document:
        # Nobody can tell another number in a document from the right one.
        ways.remove(damage.flip_bits)
    way = rng.choice(ways)
    way(path, rng)
    return way.__name__


def _make_run(
    rng: random.Random, desk: Desk, words: list[str], directory: Path, is_finished: bool
) -> None:
    """Make a run that is finished, or was killed somewhere."""
    whole, events = desk.undisturbed(words)
    if is_finished:
        shutil.copytree(whole, directory)
        return
    accident = accidents.killed_at(directory, rng.randint(events // 3, events))
    target = f"hydra.run.dir={directory.name}"
    ended = run([*words, target], directory.parent, accident)
    assert ended.code in (0, -signal.SIGKILL), ended


def _make_sweep(rng: random.Random, desk: Desk, words: list[str], directory: Path) -> None:
    _, events = desk.undisturbed(words)
    accident = accidents.killed_at(directory, rng.randint(events // 4, events))
    ended = run([*words, f"hydra.sweep.dir={directory.name}"], directory.parent, accident)
    assert ended.code in (0, -signal.SIGKILL), ended


def _target(is_sweep: bool) -> str:
    return f"hydra.{'sweep' if is_sweep else 'run'}.dir=run"
