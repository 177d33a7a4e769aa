"""The run directory's two documents: config.yaml, enough to rebuild the run, and run.json."""

import json
import platform
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import yaml

from marlrun.config.nested import leaves
from marlrun.config.older import LATER, current
from marlrun.config.schema import show
from marlrun.config.unit import Unit, unit_of
from marlrun.system.errors import advising
from marlrun.system.paths import is_directory, refuse_links
from marlrun.system.reading import read_json, read_yaml
from marlrun.system.writing import exclusive, separate, write_atomically

Record = dict[str, Any]

WRITTEN = (
    "config.yaml",
    "run.json",
    "metrics.jsonl",
    "marlrun.log",
    "checkpoints",
    "inputs",
    "tb",
    "videos",
)
"""What a run writes in its directory."""


def refuse_links_in(directory: Path) -> None:
    """Raise ValueError if anything that a run writes in its directory is a link."""
    refuse_links(directory, WRITTEN)


def holds_run(directory: Path) -> bool:
    """Say whether a run was begun in `directory`."""
    return is_directory(directory) and (directory / "config.yaml").exists()


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration as plain YAML."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_atomically(directory / "config.yaml", lambda file: file.write(text.encode()))


def write_record(directory: Path, record: Record) -> None:
    """Write a run's record, run.json, as a whole."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_atomically(directory / "run.json", lambda file: file.write(text.encode()))


def read_config(directory: Path) -> dict[str, Any]:
    """Return a run's configuration under today's names; ValueError if it is missing or no mapping.

    Only plain YAML is understood: no tags, and nothing is interpolated.
    """
    path = _existing(directory, "config.yaml")
    with advising("restore it from a copy, or train again in another directory"):
        config = read_yaml(path)
        if not isinstance(config, dict):
            raise ValueError(f"{path}: expected a mapping of keys to values")
    return current(cast(dict[str, Any], config))


@contextmanager
def naming_config(directory: Path) -> Generator[None]:
    """Name config.yaml in a ValueError about one of its keys."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{directory / 'config.yaml'}: {error}") from error


def read_record(directory: Path) -> Record | None:
    """Return run.json, None if the run died before it was written; ValueError if it is damaged."""
    path = directory / "run.json"
    if not path.exists():
        return None
    with advising("delete it, and mode=resume goes on from the newest checkpoint"):
        content = read_json(path)
        record = cast(Record, content) if isinstance(content, dict) else {}
        if "status" not in record:
            raise ValueError(f"{path}: expected an object with a status")
        for key, kind in _KINDS.items():
            if not isinstance(record.get(key, kind()), kind):
                entry = f"{key} {record[key]!r:.80}"
                raise ValueError(f"{path}: {entry}: expected {kind.__name__}")
    return record


_KINDS: dict[str, type] = {
    **{"status": str, "env_steps": int, "updates": int},
    **{"results": dict, "resumed": list},
}
"""Keys of run.json on which going on with a run depends, and what they hold."""


def difference(config: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
    """Return the first key in which a configuration is not the stored one, with both values.

    None if they are the same job, perhaps of an older version. The names of the chosen files do not
    count: what the files hold is compared.
    """
    now = _compared(yaml.safe_load(yaml.safe_dump(dict(config))))
    before = _compared(stored)
    for key in now | before:
        if key not in now or key not in before:
            return f"only one of the two has {key}"
        if now[key] != before[key]:
            return f"{key}={show(now[key]):.80} in place of {show(before[key]):.80}"
    return None


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    values = leaves({**LATER, **current(config)})
    return {key: value for key, value in values if key.partition(".")[0] != "choices"}


def new_record(
    config: Mapping[str, Any], argv: Sequence[str], seeds: Sequence[int], device: str
) -> Record:
    """Return the run.json of a run that begins now."""
    return {
        "status": "running",
        "name": config.get("name"),
        "argv": list(argv),
        "algo": _choice("algo", config),
        "env": _choice("env", config),
        "graph": _choice("graph", config) if config.get("graph") else None,
        "seeds": list(seeds),
        unit_of(config): 0,
        "versions": {
            "python": platform.python_version(),
            **versions("marlrun", "torch", "numpy", "hydra-core"),
        },
        "git": git_commit(),
        "device": device,
        "started": now(),
        "finished": None,
        "exact": None,
        "results": {},
        "error": None,
    }


def resumption(unit: Unit, count: int) -> Record:
    """Return the note of a run that goes on now."""
    return {"time": now(), unit: count, "git": git_commit()}


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the commit of marlrun's own source, with "+" if changed; None outside a checkout."""

    def git(*words: str) -> str:
        command = ("git", "-C", str(Path(__file__).parents[1]), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Hold the run directory for this process; ValueError if another holds it.

    A log that has another name as well is copied, so that the other name keeps what it has.
    """
    path = directory / "metrics.jsonl"
    is_new = not path.exists()
    try:
        with ExitStack() as held:
            held.enter_context(exclusive(path, wait=False))
            if separate(path):  # The first lock stays with the other name.
                held.enter_context(exclusive(path, wait=False))
            yield
    except BlockingIOError as error:
        raise ValueError(f"{directory}: another process is training this run") from error
    except ValueError:  # a refusal leaves nothing behind
        if is_new:
            path.unlink(missing_ok=True)
        raise


def _existing(directory: Path, name: str) -> Path:
    if not is_directory(directory):
        raise ValueError(f"run={directory}: no such directory")
    path = directory / name
    if not path.is_file():
        raise ValueError(f"run={directory}: expected a run directory, there is no {name}")
    return path


def _choice(kind: str, config: Mapping[str, Any]) -> str:
    """Return the name of the YAML chosen for `kind`, where that is not known of its module."""
    module = config[kind]["_target_"].rpartition(".")[0].rpartition(".")[2]
    return config.get("choices", {}).get(kind, module)


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those of these packages that are installed."""
    numbers: dict[str, str] = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            numbers[package] = metadata.version(package)
    return numbers
