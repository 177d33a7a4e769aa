"""Run and sweep directories that were damaged, or that a stranger made to do harm."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from reliability import accidents
from reliability.desk import BUDGET, JOBS, Desk, complaint, contents, difference, run

Change = Callable[[random.Random, Path], object]
ODD = [
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    "",
    "${oc.env:HOME}",
    "???",
    [],
    {},
    [[]],
    "a" * 5000,
    "\u202e",
]


def _cut(rng: random.Random, path: Path) -> object:
    return os.truncate(path, rng.randint(0, max(0, path.stat().st_size - 1)))


def _flip(rng: random.Random, path: Path) -> object:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 8]) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return path.write_bytes(data)


def _insert(rng: random.Random, path: Path) -> object:
    data = path.read_bytes()
    at = rng.randint(0, len(data))
    garbage = rng.choice([b"\xff\x00garbage\n", b"\xff\n", b"\xfe" * 5000])
    return path.write_bytes(data[:at] + garbage + data[at:])


def _deep(rng: random.Random, path: Path) -> object:
    opening = rng.choice(["[", '{"a": '])
    return path.write_text(opening * rng.choice([200, 5000, 200_000]))


def _laughs(rng: random.Random, path: Path) -> object:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return path.write_text("\n".join(lines))


def _odd_value(rng: random.Random, path: Path) -> object:
    """Put a value of another kind at a random key of a document."""
    is_yaml = path.suffix == ".yaml"
    content: Any = yaml.safe_load(path.read_text()) if is_yaml else json.loads(path.read_text())
    node: Any = content
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        inner = node[key]
        if not inner or not isinstance(inner, dict | list) or rng.random() < 0.4:
            break
        node = inner
    odd = rng.choice([value for value in ODD if type(value) is not type(inner)])
    if rng.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = odd
    text = yaml.safe_dump(content, sort_keys=False) if is_yaml else json.dumps(content)
    return path.write_text(text)


def _in_its_place(make: Callable[[Path], object]) -> Change:
    def change(rng: random.Random, path: Path) -> object:
        path.unlink()
        return make(path)

    return change


ANY: dict[str, Change] = {
    "cut": _cut,
    "bytes inserted": _insert,
    "emptied": lambda rng, path: path.write_bytes(b""),
    "zeros": lambda rng, path: path.write_bytes(bytes(path.stat().st_size)),
    "twice": lambda rng, path: path.write_bytes(path.read_bytes() * 2),
    "lost": lambda rng, path: path.unlink(),
    "a directory": _in_its_place(lambda path: path.mkdir()),
    "a pipe": _in_its_place(os.mkfifo),
    "a link to nowhere": _in_its_place(lambda path: path.symlink_to("nowhere")),
    "a link to itself": _in_its_place(lambda path: path.symlink_to(path.name)),
}
FLIPPED: dict[str, Change] = {"bits flipped": _flip}
"""Not of documents: nobody can tell another number from the right one."""
TEXT: dict[str, Change] = {
    "Windows' line ends": lambda rng, path: path.write_bytes(
        path.read_bytes().replace(b"\n", b"\r\n")
    ),
    "nested deeply": _deep,
    "aliases that explode": _laughs,
}
DOCUMENTS: dict[str, Change] = {"an odd value": _odd_value}


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
        kind, change = _change_for(rng, path)
        change(rng, path)
        verb = rng.choice(["resume", "resume", "eval", "report"])
        verdict = _judge_run(place, verb, directory, whole)
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
        kind, change = _change_for(rng, path)
        change(rng, path)
        before = contents(place)
        ended = run(["mode=resume", "run=run"], place)
        verdict = complaint(ended, [0, 1, 2])
        if verdict is None and ended.code == 2 and contents(place) != before:
            verdict = f"a refusal changed files: {ended.err!r}"
        if strays := {entry.name for entry in place.iterdir()} - {"run"}:
            verdict = f"made {strays}"
        if verdict is None and ended.code == 0 and "takes its place" not in ended.err:
            for job in sorted(whole.glob("*/")):
                verdict = verdict or _difference_unless_mended(directory / job.name, job)
        yield verdict and f"{path.relative_to(directory)} {kind}: {verdict}"


def _judge_run(place: Path, verb: str, directory: Path, whole: Path) -> str | None:
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
    if verb == "resume" and ended.code == 0 and "takes its place" not in ended.err:
        return _difference_unless_mended(directory, whole)
    return None


def _difference_unless_mended(directory: Path, whole: Path) -> str | None:
    """Compare two runs; one that was finished already is left as it is, with its damage."""
    record = json.loads((directory / "run.json").read_text())
    if "resumed" not in record and record.get("status") == "finished":
        return None
    return difference(directory, whole)


def _change_for(rng: random.Random, path: Path) -> tuple[str, Change]:
    """Return a kind of damage that suits a file."""
    changes = dict(ANY)
    if path.suffix in (".json", ".yaml"):
        changes |= DOCUMENTS | TEXT
        # What an odd value does to a document is the richest of all kinds.
        changes |= {f"an odd value ({n})": _odd_value for n in range(6)}
    elif path.suffix == ".jsonl":
        changes |= TEXT | FLIPPED
    else:
        changes |= FLIPPED
    return rng.choice(list(changes.items()))


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
