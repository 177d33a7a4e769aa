"""Damage to files, seeded: what a crash, a full disk, a slip or a stranger may leave of a run."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from marlrun.system.reading import read_json, read_yaml

VALUES: list[Any] = [
    *(None, True, 0, -1, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 10**400, 2**63),
    *("", " ", "0x" + "f" * 9000, "2026-11-22", "../../up", "/etc/passwd", "a/b", "a" * 5000),
    *("=1+1", "-x", "@x", "a|b`c`*d*", "<script>alert(1)</script>", "![x](http://x)", "$a_{$"),
    *("two\nlines", "\x1b[31mred", "\u202eright", "\ud800", "漢字", "🙂"),
    *([], {}, [[]], [{"a": 1, "2": [None]}], {"a/b": {"": 1}}, [1e308, -1e308], [0] * 2000),
]
"""What stands in a document where something else is expected."""


def damage(path: Path, seed: int) -> str:
    """Damage a file in one way that `seed` chooses, and return the name of that way.

    ValueError if it holds no document that could be edited, because it was damaged before.
    """
    rng = random.Random(seed)
    way = rng.choice(WAYS)
    way(path, rng)
    return way.__name__


def flip_bits(path: Path, rng: random.Random) -> None:
    """Flip a few bits."""
    content = bytearray(path.read_bytes())
    for _ in range(min(len(content), rng.choice((1, 8, 64)))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    """Cut the end off, or all."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.choice((0, rng.randint(0, len(content))))])


def zero(path: Path, rng: random.Random) -> None:
    """Put zeros in place of the end, as some file systems do after a crash."""
    content = path.read_bytes()
    kept = rng.randint(0, len(content))
    path.write_bytes(content[:kept] + bytes(len(content) - kept))


def shuffle_lines(path: Path, rng: random.Random) -> None:
    """Repeat some lines and change their order."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rng.choices(lines, k=2 * len(lines)) if lines else lines))


def end_lines_as_windows(path: Path, rng: random.Random) -> None:
    """End lines as Windows does, as a copy through some editors and tools."""
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def nest(path: Path, rng: random.Random) -> None:
    """Add a line that is nested deeply: it crashes readers that call themselves."""
    with path.open("ab") as file:
        file.write(b"\nx: " * rng.randint(0, 1) + b"[" * rng.choice((70, 2000, 200_000)) + b"\n")


def laugh(path: Path, rng: random.Random) -> None:
    """Write YAML that aliases or merges make as large as the world."""
    inner = rng.choice(("[{}]", "{{<<: [{}]}}"))
    lines = (f"a{i}: &a{i} {inner.format(', '.join([f'*a{i - 1}'] * 9))}\n" for i in range(1, 12))
    path.write_text("a0: &a0 {x: 1}\n" + "".join(lines))


def edit(path: Path, rng: random.Random) -> None:
    """Change, add or remove a value somewhere in a document, or in a few lines of several."""
    if path.suffix == ".jsonl":
        lines = path.read_text().splitlines()
        for i in rng.sample(range(len(lines)), min(len(lines), rng.choice((1, 3, 1000)))):
            lines[i] = json.dumps(_edited(json.loads(lines[i]), rng))
        path.write_text("".join(f"{line}\n" for line in lines))
    elif path.suffix == ".json":
        path.write_text(json.dumps(_edited(read_json(path), rng)))
    else:
        edited = _edited(read_yaml(path), rng)
        path.write_text(yaml.safe_dump(edited, sort_keys=False), errors="surrogatepass")


def _edited(document: Any, rng: random.Random) -> Any:
    value = rng.choice(VALUES)
    inner = document
    while isinstance(inner, dict | list) and inner:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = rng.choice(keys)
        if isinstance(inner[key], dict | list) and inner[key] and rng.random() < 0.8:
            inner = inner[key]
            continue
        how = rng.choice(("change", "change", "remove", "rename"))
        if how == "change":
            inner[key] = value
        elif isinstance(inner, dict) and how == "rename":
            inner[str(value)[:6000]] = inner.pop(key)
        else:
            del inner[key]
        return document
    return value


def remove(path: Path, rng: random.Random) -> None:
    """Remove the file."""
    path.unlink()


def pipe(path: Path, rng: random.Random) -> None:
    """Put a pipe in its place, of which a reader waits for a writer."""
    path.unlink()
    os.mkfifo(path)


def link(path: Path, rng: random.Random) -> None:
    """Put a link in its place: to itself, to nothing, to its directory, to what never ends."""
    path.unlink()
    path.symlink_to(rng.choice((path.name, "nowhere", "..", "/dev/zero", "/dev/null")))


def directory(path: Path, rng: random.Random) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


def lock(path: Path, rng: random.Random) -> None:
    """Take away the right to read the file, or to enter its directory."""
    rng.choice((path, path.parent)).chmod(rng.choice((0, 0o400)))


WAYS: tuple[Callable[[Path, random.Random], None], ...] = (
    *(
        flip_bits,
        cut,
        zero,
        shuffle_lines,
        end_lines_as_windows,
        nest,
        laugh,
        edit,
        edit,
        edit,
        edit,
    ),
    *(remove, pipe, link, directory, lock),
)
