"""Runs the command line as processes to which accidents happen, and says how they ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from runner.compare import assert_same_run

from reliability import accidents

TIMEOUT = 120.0
"""Seconds after which a process counts as hanging; the machine may be busy."""

BUDGET = [
    "env_steps=240",
    "eval.every=80",
    "eval.episodes=4",
    "eval.final_episodes=6",
    "log.every=40",
    "checkpoint.every=60",
]
JOBS = {
    "dec_hdrqn": [
        "algo=dec_hdrqn",
        "env=matrix_game",
        "algo.sizes=[4,4,4,4]",
        "algo.learning_starts=40",
        "replicas=2",
    ],
    "gru": [
        "algo=dec_hdrqn",
        "env=target_capture",
        "env.size=2",
        "env.horizon=3",
        "algo.cell=gru",
        "algo.sizes=[4,4,4,4]",
        "algo.learning_starts=110",
        "algo.trace=2",
    ],
    "networked_ac_q": ["algo=networked_ac_q", "env=public_goods", "graph=ring", "replicas=2"],
    "networked_ac_v": ["algo=networked_ac_v", "env=networked_mdp", "env.num_agents=4"],
    "random": ["algo=random", "env=meeting_grid", "replicas=3"],
}


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, minus the signal that killed it, or None if it hung."""

    code: int | None
    out: str
    err: str
    seconds: float


class Desk:
    """A directory in which every case gets a place of its own."""

    def __init__(self, top: Path):
        self._top, self._count = top, 0
        self._whole: dict[tuple[str, ...], tuple[Path, int]] = {}
        self._import_what_runs_import()

    def _import_what_runs_import(self) -> None:
        """Import here, once, what every run would import anew."""
        place, names = self.fresh(), self._top / "modules"
        words = [*JOBS["dec_hdrqn"], *BUDGET]
        ended = run(words, place, lambda: lambda: names.write_text("\n".join(sys.modules)))
        assert ended.code == 0, ended
        for name in names.read_text().split():
            with suppress(ImportError):
                import_module(name)

    def fresh(self) -> Path:
        """Return an empty directory; that of the case before is gone."""
        shutil.rmtree(self._top / f"case_{self._count}", ignore_errors=True)
        self._count += 1
        place = self._top / f"case_{self._count}"
        place.mkdir(parents=True)
        return place

    def undisturbed(self, words: Sequence[str]) -> tuple[Path, int]:
        """Return the directory of this run or sweep without any accident, and its file events."""
        key = tuple(words)
        if key not in self._whole:
            where = self._top / f"whole_{len(self._whole)}"
            where.mkdir(parents=True)
            target = f"hydra.{'sweep' if '-m' in words else 'run'}.dir=done"
            count = self._top / "count"
            ended = run([*words, target], where, accidents.counted(where, count))
            assert ended.code == 0, (words, ended)
            self._whole[key] = where / "done", int(count.read_text())
        return self._whole[key]


def run(
    words: Sequence[str],
    cwd: Path,
    accident: Callable[[], object] = lambda: None,
    program: str = "marlrun",
) -> Ended:
    """Run a command in a fork of this process, which has imported everything already.

    `accident` is called in the child first, and what it returns in the end. Standard input is empty.
    """
    began = time.monotonic()
    streams = [cwd.parent / f".{cwd.name}.{name}" for name in ("out", "err")]
    pid = os.fork()
    if pid == 0:
        _live([program, *words], cwd, accident, streams)
    code = _wait(pid)
    out, err = (path.read_text(errors="replace") for path in streams)
    for path in streams:
        path.unlink()
    return Ended(code, out, err, time.monotonic() - began)


def _live(argv: list[str], cwd: Path, accident: Callable[[], object], streams: list[Path]) -> None:
    """Be the child: what a shell does before a program starts, the program, and its end."""
    code, at_end = 1, None
    try:
        os.setsid()
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(streams, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        sys.argv = argv
        at_end = accident()
        code = PROGRAMS[argv[0]]() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        if callable(at_end):
            at_end()
        os._exit(code)


def real(words: Sequence[str], cwd: Path, shell: str = '"$@"', timeout: float = TIMEOUT) -> Ended:
    """Run a command as a new interpreter; `shell` says how, with the command as "$@"."""
    command = [sys.executable, "-c", _START, *words]
    began = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    code: int | None
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = None
    return Ended(code, out, err, time.monotonic() - began)


PROGRAMS = {
    point.name: point.load() for point in entry_points(group="console_scripts", name="marlrun")
}
PROGRAMS |= {
    point.name: point.load()
    for point in entry_points(group="console_scripts", name="marlrun-report")
}
_POINT = next(iter(entry_points(group="console_scripts", name="marlrun")))
_START = f"import sys; sys.argv[0] = 'marlrun'; from {_POINT.module} import {_POINT.attr} as main; sys.exit(main())"
"""What the console script does."""


def _wait(pid: int) -> int | None:
    deadline = time.monotonic() + TIMEOUT
    pause = 0.005
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.05, pause * 1.2)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def complaint(ended: Ended, codes: Sequence[int]) -> str | None:
    """Return what is wrong with an end, whatever was done; None if nothing is."""
    if ended.code is None:
        return f"hangs for {ended.seconds:.0f} s: {_last(ended)}"
    if "Traceback (most recent call last)" in ended.err + ended.out:
        return f"traceback: {_last(ended)}"
    if ended.code not in codes:
        return f"exit {ended.code}, expected one of {list(codes)}: {_last(ended)}"
    if ended.code == 2:
        lines = ended.err.splitlines()
        if not lines or not lines[-1].startswith("marlrun") or ended.out:
            return f"no single line of refusal: {ended.err!r} {ended.out!r}"
    return None


def difference(directory: Path, other: Path) -> str | None:
    """Return what tells two runs apart; None if they are the same bit for bit."""
    try:
        assert_same_run(directory, other)
    except (AssertionError, OSError, ValueError, KeyError) as error:
        return f"inexact: {type(error).__name__} {str(error)[:200]}"
    return None


def contents(directory: Path) -> dict[str, object]:
    """Return all that lies below a directory: bytes of files, where links lead, kinds of others."""
    return {str(path.relative_to(directory)): _content(path) for path in directory.rglob("*")}


def _content(path: Path) -> object:
    if path.is_symlink():
        return path.readlink()
    if path.is_file():
        return path.read_bytes()
    return "directory" if path.is_dir() else "other"


def _last(ended: Ended) -> str:
    text = (ended.err.strip() or ended.out.strip()).splitlines()
    return text[-1][:300] if text else "(said nothing)"
