"""Command lines that are wrong, names that are hostile, and streams that go away."""

import random
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from marlrun.config.kinds import fits
from marlrun.config.schema import Rule, declared, options
from reliability.desk import BUDGET, JOBS, Desk, complaint, contents, difference, real, run

SMALL = ["algo=random", "env=matrix_game", *BUDGET]
WRONG = ["x", "''", "-1", "1e30", "inf", "nan", "null", "[]", "{a: 1}", "true", "10", "0", "1.5"]
WRONG += ["[1,2,3]", "99999999999999999999999", "'a b'", "1e-400", "no", "[[1]]", "${seed}", "???"]


def wrong_input(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Type keys, values, groups and words that are none; one line, exit 2, and nothing is made."""
    while True:
        place = desk.fresh()
        words = _mistaken(rng)
        ended = run(words, place)
        verdict = complaint(ended, [2])
        if verdict is None and len(ended.err.splitlines()) != 1:
            verdict = f"not one line: {ended.err!r}"
        if verdict is None and contents(place):
            verdict = f"made {sorted(contents(place))}"
        yield verdict and f"{shlex.join(['marlrun', *words])}: {verdict}"


def _mistaken(rng: random.Random) -> list[str]:
    """Return a command line with one mistake in it."""
    group = rng.choice(["algo", "env", "graph", "config"])
    name = rng.choice(options(group)) if group != "config" else "config"
    rules = declared(name if group == "config" else f"{group}/{name}", group * (group != "config"))
    keys = [key for key in rules.rules if not key.endswith("_target_")]
    words = ["algo=networked_ac_q" if group == "graph" else "algo=random", "env=matrix_game"]
    words = [word for word in words if not word.startswith(f"{group}=")]
    words += [] if group == "config" else [f"{group}={name}"]
    if not keys:
        return [*words, f"{group}.nothing=1"]
    key = rng.choice(keys)
    kind = rng.randrange(5)
    if kind == 0:
        return [*words, f"{rng.choice(['', '+', '++'])}{_misspelt(rng, key)}=1"]
    if kind == 1:
        return [*words, f"{rng.choice(['~', '+'])}{key}" + "=1" * (rng.random() < 0.5)]
    if kind == 2:
        return [*words, rng.choice([f"{group}={name}x", f"{key}", "=1", f"{key}=", "mode=trian"])]
    wrong = [value for value in WRONG if not _is_fine(rules.rules[key], key, value)]
    return [*words, f"{key}={rng.choice(wrong)}"] if wrong else [*words, f"{key}x=1"]


def _misspelt(rng: random.Random, key: str) -> str:
    at = rng.randrange(len(key))
    changed = rng.choice(
        [key[:at] + key[at + 1 :], key[:at] + "q" + key[at:], key + "s", key[::-1]]
    )
    return changed if changed.replace(".", "") and changed != key else f"{key}_"


def _is_fine(rule: Rule, key: str, text: str) -> bool:
    """Say whether a value may be meant; a text is whatever it is."""
    value: Any = yaml.safe_load(text.strip("'") or "''")
    readings = [value, text, _number(text)]
    is_loose = "str" in rule.kind or "${" in text or text == "???" or "dict" in rule.kind
    return is_loose or any(fits(rule.kind, reading) for reading in readings)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


NAMES = ["a b", "it's", 'say "x"', "$(touch pwned)", "`touch pwned`", "a;b", "-rf", "ünï", "a=b,c"]
NAMES += [
    "a\nb",
    "..",
    "../up",
    "a/../../up",
    "/",
    "",
    ".",
    "${seed}",
    "{x}",
    "[y]",
    "a" * 300,
    "~",
]
NAMES += ["a&b", "a|b", "<b>", "%s", "a\tb", "\u202egnp", "#", "a#b", "!", "*", "?", "a\\b", "null"]


def hostile_names(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Name runs, sweeps and directories by anything; it works, and printed commands too, or not."""
    while True:
        place = desk.fresh() / "here"
        place.mkdir()
        name = rng.choice(NAMES)
        quoted = "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
        kind = rng.choice(["name", "hydra.run.dir", "hydra.sweep.dir", "run"])
        words = ["mode=eval", f"run={name}"] if kind == "run" else [*SMALL, f"{kind}={quoted}"]
        words += ["-m", "seed=0,1"] * (kind == "hydra.sweep.dir")
        ended = run(words, place)
        verdict = complaint(ended, [0, 2])
        above = {entry.name for entry in place.parent.iterdir()} - {"here"}
        if (above and kind in ("name", "run")) or (place / "pwned").exists():
            verdict = f"made {above or 'pwned'}"
        if verdict is None and ended.code == 0:
            verdict = _hints_work(ended.out + ended.err, place)
        yield verdict and f"{kind}={name!r}: {verdict}"


def _hints_work(text: str, place: Path) -> str | None:
    """Paste what was printed as the command that shows curves."""
    _, is_printed, rest = text.partition(" --logdir ")
    # A name may go on in the next line.
    if is_printed and not (place / shlex.split(rest)[0]).is_dir():
        return f"no such directory as printed: {rest}"
    return None


STREAMS = {
    "standard error closed": '"$@" 2>&-',
    "standard output closed": '"$@" >&-',
    "both closed": '"$@" >&- 2>&-',
    "all closed": '"$@" <&- >&- 2>&-',
    "standard error full": '"$@" 2>/dev/full',
    "standard output full": '"$@" >/dev/full',
    "both full": '"$@" >/dev/full 2>&1',
    "a reader that goes": '"$@" 2>&1 >/dev/null | head -n 1; exit ${PIPESTATUS[0]}',
    "readers that are gone": '"$@" 2>&1 | true; exit ${PIPESTATUS[0]}',
    "standard output's reader is gone": '"$@" | true; exit ${PIPESTATUS[0]}',
    "a terminal that closes": 'script -qec "$(printf \'%q \' "$@")" /dev/null </dev/null | head -c 20; sleep 1',
}


def streams(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Take away what a person watches; the run is finished and the same."""
    while True:
        words = [*JOBS[rng.choice(list(JOBS))], *BUDGET]
        (whole, _), place = desk.undisturbed(words), desk.fresh()
        kind = rng.choice(list(STREAMS))
        if kind == "a terminal that closes":
            ended = real([*words, "hydra.run.dir=run"], place, STREAMS[kind])
            again = run(["mode=resume", "run=run"], place)
            verdict = complaint(again, [0])
        else:
            ended = real([*words, "hydra.run.dir=run"], place, STREAMS[kind])
            verdict = complaint(ended, [0])
        verdict = verdict or difference(place / "run", whole)
        yield verdict and f"{kind}: {verdict} ({' '.join(words)})"
