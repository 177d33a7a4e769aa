"""Which foreign games a configuration may name, and how a name becomes a PettingZoo game.

A configuration may come from a stranger's run directory. So without `plugins=[..]` on the command
line `env.id` may only be `mpe2.NAME_vN` or `pettingzoo.FAMILY.NAME_vN`, of which nothing but
`parallel_env` or `env` is called, and the keyword arguments are plain values that name no file.
"""

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from marlrun.config.kinds import fits
from marlrun.config.plugins import code_of, lies_in
from marlrun.config.schema import did_you_mean, show
from marlrun.system.errors import with_type

_PACKAGES = (
    "mpe2",
    *(f"pettingzoo.{family}" for family in ("atari", "butterfly", "classic", "sisl")),
)
_GAME = re.compile(r"([a-z0-9_]+_v[0-9]+)", re.ASCII)
_MAKERS = ("parallel_env", "env")
_EXPECTED = (
    "expected mpe2.NAME_vN or pettingzoo.FAMILY.NAME_vN, or package.module:make_env of a package "
    "named by plugins=[..] on the command line"
)


@dataclass(frozen=True)
class Recipe:
    """How a foreign game is made and read: plain values, which another process can be told."""

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    plugins: tuple[str, ...] = ()
    agents_leave: bool = True
    """Whether agents may leave before the others."""
    state: bool = False
    """Whether the game's state is shown, beside what agents observe."""
    has_mask: bool = False
    """Whether the game says which actions are allowed, as its first reset shows."""

    def build(self, render_mode: str | None = None) -> Any:
        """Return a new `ParallelEnv`; ValueError, in one line, if that is not possible."""
        check_kwargs(self.kwargs)
        extras = {} if render_mode is None else {"render_mode": render_mode}
        with calm():
            make = resolve(self.id, self.plugins)
            try:
                game = make(**self.kwargs, **extras)
            except (Exception, SystemExit) as error:
                raise ValueError(f"{self._key}: {self._refusal(error)}") from error
            return self._as_parallel(game)

    @property
    def _key(self) -> str:
        return f"env.id={self.id}"

    def _refusal(self, error: BaseException) -> str:
        typed = ", ".join(f"env.kwargs.{key}={show(value)}" for key, value in self.kwargs.items())
        missing = isinstance(error, ImportError) or type(error).__name__ == "DependencyNotInstalled"
        package = self.id.rpartition(".")[0]
        hint = f"; {_how_to_install(package)}" if missing and package in _PACKAGES else ""
        return f"cannot be built{f' with {typed}' if typed else ''}: {with_type(error)}{hint}"

    def _as_parallel(self, game: Any) -> Any:
        """Return a game in which all agents act at once; ValueError if it is none."""
        from pettingzoo import AECEnv, ParallelEnv  # pyright: ignore[reportMissingTypeStubs]
        from pettingzoo.utils.conversions import (  # pyright: ignore[reportMissingTypeStubs]
            aec_to_parallel,
        )

        if isinstance(game, ParallelEnv):
            return cast(Any, game)
        if not isinstance(game, AECEnv):
            kind = type(game).__name__
            raise ValueError(f"{self._key}: made a {kind}, expected a ParallelEnv of PettingZoo")
        metadata: Mapping[str, Any] = getattr(cast(Any, game), "metadata", {})
        if not metadata.get("is_parallelizable", False):
            raise ValueError(
                f"{self._key}: its agents take turns (it is an AECEnv, and its metadata has no "
                "is_parallelizable: true), expected a game in which all act at once"
            )
        return aec_to_parallel(cast(Any, game))


@contextmanager
def calm() -> Generator[None]:
    """Keep a foreign game's warnings quiet, and what it prints out of the results on stdout."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def check_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError unless keyword arguments are plain values that name no file."""
    for name, value in kwargs.items():
        key = f"env.kwargs.{name}"
        if not str(name).isidentifier() or not fits("plain", value):
            expected = "expected NAME=VALUE, a finite number, a bool, a str or a list of these"
            raise ValueError(f"{key}={show(value)}: {expected}")
        if name == "render_mode":
            raise ValueError(f"{key}={show(value)}: expected no such key, marlrun sets it to draw")
        for text in _texts(value):
            if _names_file(text):
                raise ValueError(f"{key}={show(value)}: expected no path and no name of a file")


def _names_file(text: str) -> bool:
    """Say whether a text is a path, or the name of a file or directory that exists."""
    if re.search(r"[/\\]|^~", text):
        return True
    try:
        return text != "" and Path(text).exists()
    except OSError:  # it is too long for a name
        return False


def _texts(value: Any) -> list[str]:
    """Return the texts in a plain value."""
    if isinstance(value, list):
        return [text for inner in cast("list[Any]", value) for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def resolve(game_id: str, plugins: Sequence[str]) -> Callable[..., Any]:
    """Return what makes the game `game_id`; see the module's docstring for the rule.

    ValueError, in one line, for a name that is not allowed or does not exist, or a package that is
    not installed.
    """
    module_name, colon, name = game_id.partition(":")
    package, _, game = module_name.rpartition(".")
    if package in _PACKAGES and _GAME.fullmatch(game) and (not colon or name in _MAKERS):
        return _maker(package, game, (name,) if name else _MAKERS)
    is_path = all(map(str.isidentifier, [*module_name.split("."), name]))
    if is_path and lies_in(module_name, plugins):
        return code_of(module_name, name, f"env.id={game_id}")
    raise ValueError(f"env.id={game_id}: {_EXPECTED}{_guess(game_id, plugins)}")


def _guess(game_id: str, plugins: Sequence[str]) -> str:
    """Return what may have been meant by a name that is not allowed."""
    module_name, _, name = game_id.rpartition(".")
    if name and lies_in(module_name, plugins):
        return f"; did you mean {module_name}:{name}?"
    games = [f"{package}.{game}" for package in _PACKAGES for game in _games_at_hand(package)]
    return did_you_mean(game_id, games)


def _games_at_hand(package: str) -> list[str]:
    try:
        return _games(importlib.import_module(package))
    except ImportError:
        return []


def _games(package: ModuleType) -> list[str]:
    """Return the names of the games in a package, which is imported and its modules are not."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(filter(_GAME.fullmatch, names))


def _maker(package_name: str, game: str, makers: Sequence[str]) -> Callable[..., Any]:
    """Return the first of `makers` in the module of a game."""
    key = f"env.id={package_name}.{game}"
    try:
        package = importlib.import_module(package_name)
    except ImportError as error:
        way = _how_to_install(package_name)
        raise ValueError(f"{key}: {package_name} is not installed; {way}") from error
    games = _games(package)
    if game not in games:
        names = [f"{package_name}.{name}" for name in games]
        guess = did_you_mean(f"{package_name}.{game}", names) or f"; it has {', '.join(games)}"
        raise ValueError(f"{key}: {package_name} has no such game{guess}")
    module = _import_game(package_name, game, key)
    home = Path(str(package.__file__)).parent.resolve()
    if Path(str(module.__file__)).resolve().parent != home:
        raise ValueError(f"{key}: expected a module in {home}, got {module.__file__}")
    for name in makers:
        if callable(make := vars(module).get(name)):
            return make
    raise ValueError(f"{key}: expected {' or '.join(makers)} in this module, got none")


def _import_game(package_name: str, game: str, key: str) -> ModuleType:
    try:
        return importlib.import_module(f"{package_name}.{game}")
    except ImportError as error:
        way = _how_to_install(package_name)
        raise ValueError(f"{key}: cannot be imported: {with_type(error)}; {way}") from error
    except Exception as error:
        raise ValueError(f"{key}: cannot be imported: {with_type(error)}") from error


def _how_to_install(package_name: str) -> str:
    base, _, family = package_name.partition(".")
    return f"pip install '{base}[{family}]'" if family else f"pip install {base}"
