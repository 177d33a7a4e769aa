"""The demonstrations that a job learns from: those that marlrun brings, and whether they fit the job."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import hypot
from pathlib import Path
from typing import Any

from torch import Tensor

from marlrun.config.nested import Config
from marlrun.config.schema import show
from marlrun.data import demonstrations
from marlrun.runner.build import Node, settled
from marlrun.runner.inputs import DEMONSTRATIONS, SHIPPED
from marlrun.runner.intervals import Estimate
from marlrun.system.output import say
from marlrun.system.plain import plain
from marlrun.system.reading import InputFile
from marlrun.types import Spec

_SAME = ("_target_", "rules", "id", "game")
"""Keys of an environment in which demonstrations must agree with the job that learns from them."""
_FREE = ("num_envs", "horizon", "force", "mass", "max_speed", "discount")
"""Keys in which they may differ even from the game that `shipped` is looked up for."""
_WAY_OUT = "expected a FILE, which marlrun mode=demonstrate run=DIR out=FILE writes"


def shipped(config: Config) -> Path:
    """Return the file that marlrun brings for the game of a configuration.

    It is found by environment, rules and early end. ValueError, in one line, if there is none.
    """
    env = settled(config["env"], config.get("plugins") or [])
    fewest: list[str] | None = None
    for path in shipped_files():
        card = demonstrations.read_card(path)
        if card["env"]["_target_"] == env["_target_"]:
            keys = [key for key in _differing(card["env"], env) if key not in _FREE]
            if not keys:
                return path
            fewest = min(keys, fewest or keys, key=len)
    name = config.get("choices", {}).get("env", env["_target_"])
    settings = [f" env.{key}={show(env.get(key))}" for key in fewest or []]
    raise ValueError(
        f"{DEMONSTRATIONS}={SHIPPED}: none ship for env={name}{''.join(settings)}; {_WAY_OUT}"
    )


def shipped_files() -> list[Path]:
    """Return the files that marlrun brings, by name."""
    folder = Path(str(files("marlrun.data") / "shipped"))
    return sorted(folder.glob("*.npz"))


def check(algo: Node, env: Node, spec: Spec, plugins: Sequence[str]) -> None:
    """Raise ValueError, in one line, unless an algorithm's demonstrations fit the game.

    Whatever else of the game differs, and an expert that is no better than random play, is said on
    stderr. An algorithm that takes no demonstrations is not checked.
    """
    file = algo.get("demonstrations")
    if not isinstance(file, InputFile):
        return
    where = f"{DEMONSTRATIONS}={file.path}"
    try:
        shown = demonstrations.read(file)
        card = plain(shown.card)
        differing = _check_game(card["env"], settled(env, plugins))
        _check_agents(card, spec)
        _check_optional("action_mask", shown.action_mask, is_told=spec.has_action_mask)
        _check_optional("alive", shown.alive, is_told=spec.agents_leave)
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).removeprefix(f'{file.path}: ')}") from error
    episodes = algo.get("demonstrations_episodes")
    if episodes is not None and episodes > card["episodes"]:
        expected = f"expected at most {card['episodes']}, as {file.path} has"
        raise ValueError(f"{DEMONSTRATIONS}_episodes={episodes}: {expected}")
    for warning in filter(None, (differing, no_better(card))):
        say(f"marlrun: {where}: {warning}")


def _check_game(demonstrated: Config, env: Config) -> str | None:
    """Say which keys of a game differ from those of the demonstrations; None if none does.

    ValueError if it is another game.
    """
    texts: list[str] = []
    for key in _differing(demonstrated, env):
        before, now = (show(keys[key]) if key in keys else "none" for keys in (demonstrated, env))
        if key in _SAME:
            raise ValueError(f"demonstrates env.{key}={before}, expected {now}")
        texts.append(f"env.{key}={before} (here {now})")
    return f"was demonstrated with {', '.join(texts)}" if texts else None


def _differing(demonstrated: Config, env: Config) -> list[str]:
    """Return the keys in which two games differ, but for the number of copies."""
    keys = [key for key in {**env, **demonstrated} if key != "num_envs"]
    return [key for key in keys if demonstrated.get(key) != env.get(key)]


def _check_agents(card: Mapping[str, Any], spec: Spec) -> None:
    """Raise ValueError unless the demonstrations are of these agents, in this order."""
    for key, words, expected in (
        ("agents", "the agents", spec.agent_names),
        ("obs_sizes", "observations of size", spec.obs_sizes),
        ("num_actions", "numbers of actions", spec.num_actions),
    ):
        if card[key] != list(expected):
            shown, wanted = (", ".join(map(str, part)) for part in (card[key], expected))
            raise ValueError(f"has {words} {shown}, expected {wanted}")


def _check_optional(name: str, part: Tensor | None, *, is_told: bool) -> None:
    """Raise ValueError unless the demonstrations have an array just where the game tells of it."""
    if part is None and is_told:
        raise ValueError(f"has no {name}.npy, which the game tells of")
    if part is not None and not is_told:
        raise ValueError(f"has {name}.npy, of which the game tells nothing")


def no_better(card: Mapping[str, Any]) -> str | None:
    """Return a warning if by its card no agent of the expert earns more than in random play.

    More is more than the 95 % interval of the difference, from as many episodes of both.
    """
    try:
        expert, random = (
            {name: _estimate(value) for name, value in card["returns"][who].items()}
            for who in ("expert", "random")
        )
        if any(_exceeds(expert[name], random[name]) for name in card["agents"]):
            return None
        means = expert["mean"], random["mean"]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return "its card compares no returns of the expert and of random play"
    return f"the expert's return, {means[0]}, is no better than random play's, {means[1]}"


def _estimate(value: Mapping[str, Any]) -> Estimate:
    low, high = (None if value[name] is None else float(value[name]) for name in ("low", "high"))
    return Estimate(float(value["mean"]), low, high, 0)


def _exceeds(expert: Estimate, random: Estimate) -> bool:
    """Say whether the difference of two means is above its 95 % interval around 0."""
    return expert.mean - random.mean > hypot(_half(expert), _half(random))


def _half(value: Estimate) -> float:
    """Return half the length of an interval; 0 where one episode has none."""
    return 0.0 if value.low is None or value.high is None else (value.high - value.low) / 2
