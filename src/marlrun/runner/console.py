"""What a person sees: a progress bar or plain lines on stderr, results on stdout."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn

from marlrun.config.nested import Config
from marlrun.config.unit import Unit, plural
from marlrun.runner.intervals import estimate
from marlrun.system import commands
from marlrun.system.output import say, write
from marlrun.system.plain import printable

HEADLINE = "eval/return_mean"


class _Live(Progress):
    """A bar that asks for its numbers when it is drawn, so the training loop never calls it."""

    ask: Callable[[], dict[str, Any]]

    def get_renderables(self) -> Iterable[RenderableType]:
        """Ask, then draw."""
        for task in self.tasks:
            self.update(task.id, **self.ask())
        yield from super().get_renderables()


class Reporter:
    """Tells how training goes."""

    def __init__(
        self,
        total: int,
        read: Callable[[], int],
        num_replicas: int,
        unit: Unit = "env_steps",
    ):
        """Take the budget, how to read the count so far, and what is counted."""
        self._unit = plural(unit)
        self._total, self._read, self._num_replicas = total, read, num_replicas
        self._began, self._begun_at = time.monotonic_ns(), read()
        self._last = ""
        self._live = False

    @contextmanager
    def showing(self) -> Generator[None]:
        """Show a live bar meanwhile, where stderr is a terminal."""
        screen = Console(stderr=True)
        self._live = screen.is_terminal
        if not self._live:
            yield
            return
        bar = _Live(
            TextColumn(f"{{task.completed:,}}/{{task.total:,}} {self._unit}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[speed]}  {task.fields[last]}"),
            console=screen,
            refresh_per_second=2,
        )
        bar.ask = self._ask
        bar.add_task("", total=self._total, **self._ask())
        with bar:
            yield

    def evaluated(self, returns: Sequence[float]) -> None:
        """Show an evaluation's returns, one per seed."""
        self._last = f"{HEADLINE} {estimate(returns)}"
        if not self._live:
            speed = self._speed()
            say(f"{self._read():,}/{self._total:,} {self._unit}  {self._last}  {speed}".rstrip())

    def _ask(self) -> dict[str, Any]:
        return {"completed": self._read(), "speed": self._speed(), "last": self._last}

    def _speed(self) -> str:
        """Return steps or updates per second over all seeds, and the time left."""
        now = self._read()
        done = now - self._begun_at
        if done == 0:
            self._began = time.monotonic_ns()
            return ""
        spent = max(1, time.monotonic_ns() - self._began)
        left = spent * max(0, self._total - now) // (done * _SECOND)
        speed = done * self._num_replicas * _SECOND // spent
        return f"{speed:,} {self._unit.split()[-1]}/s, {_duration(left)} left"


_SECOND = 10**9
"""Nanoseconds. Times are integers here: a budget may be too large for any other number."""


def _duration(seconds: int) -> str:
    """Return a time such as `1 day, 2:03:04`."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days:,} day{'' if days == 1 else 's'}, {clock}" if days else clock


def introduce(
    directory: Path,
    config: Config,
    device: str,
    selection: str,
    exact: Mapping[str, float] | None,
    *,
    brief: bool,
) -> None:
    """Say what is about to be trained: a line for each fact, or one line in all if `brief`.

    `selection` says which learner becomes best.pt.
    """
    whole = [name for name in exact or {} if "/" not in name]
    values = ", ".join(f"{name} {(exact or {})[name]:.4g}" for name in whole or exact or {})
    facts = {
        "run directory": str(directory),
        "curves": commands.tensorboard(directory / "tb"),
        "device": device,
        "exact values": values or "none, this game cannot be solved; mode=exact says why",
        "settings": _origin(config.get("choices", {})),
        "best.pt": selection,
    }
    if brief:
        brief_facts = ("run directory", "device", "exact values", "settings")
        say("; ".join(f"{name}: {facts[name]}" for name in brief_facts))
    else:
        say("\n".join(f"{name}: {fact}" for name, fact in facts.items()))


def _origin(choices: Mapping[str, Any]) -> str:
    """Say where the settings that were not typed are from."""
    if "tuned" not in choices:  # An older version stored it.
        return "as stored"
    algo, env, tuned = (printable(str(choices.get(key))) for key in ("algo", "env", "tuned"))
    if choices["tuned"] is None:
        return f"nothing is tuned for {algo} on {env}: general defaults"
    return f"tuned for {algo} on {env} by conf/tuned/{tuned}.yaml"


@contextmanager
def announcing(line: str) -> Generator[None]:
    """Say a line if what is done within takes longer than a moment."""
    timer = threading.Timer(_MOMENT, say, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_MOMENT = 2.0
"""Seconds for which nobody wonders what happens."""
SOLVING = "solving the game for its exact values takes a while"


def write_results(results: Mapping[str, Sequence[float]], unit: str) -> None:
    """Write every tag's mean with its interval over `unit`s: independent values of the tag.

    How far the recovered reward of each agent agrees with the true one is left out: it is long.
    """
    shown = {tag: values for tag, values in results.items() if "/irl/" not in tag}
    width = max(map(len, shown))
    for tag, values in shown.items():
        write(f"{tag:{width}}  {estimate(values)} {_over(len(values), unit)}")


def _over(count: int, unit: str) -> str:
    only = "" if unit == "seed" else "; one seed: no interval over seeds"
    if count > 1:
        return f"95 % CI over {count} {unit}s{only}"
    return f"(one {unit}: no interval)"


def write_directory(directory: Path) -> None:
    """Say where the run is and how to look at its curves."""
    write(f"run directory: {directory}")
    write(f"curves: {commands.tensorboard(directory / 'tb')}")
