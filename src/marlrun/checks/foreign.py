"""The promises of a foreign PettingZoo game, tried on the game itself, without our adapter.

A function's first line is what `mode=check` prints. Play is recorded until the first call that
breaks the rules of the interface, so that a line names a cause and no consequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from marlrun.checks import foreign_rules as rules
from marlrun.checks.compare import Broken, Skipped, difference
from marlrun.checks.foreign_play import GLOBAL_SEED, ForeignGame, Moment
from marlrun.envs.pettingzoo.names import calm


@dataclass(frozen=True)
class Trial:
    """A foreign game and the record of its play."""

    foreign: ForeignGame

    @cached_property
    def moments(self) -> list[Moment]:
        """The calls of reset and step, up to the first that breaks a rule of the interface."""
        moments: list[Moment] = []
        calls = self.foreign.play(self.foreign.game)
        for moment in islice(calls, self.foreign.num_steps):
            moments.append(moment)
            if moment.error or any(rule(moment, self.foreign.agents) for rule in rules.INTERFACE):
                break
        return moments

    def require(self, rule: rules.Rule) -> None:
        """Raise Broken, with the call, at the first moment that breaks a rule."""
        for moment in self.moments:
            if not moment.error and (text := rule(moment, self.foreign.agents)):
                raise Broken(f"{moment.call}: {text}")

    def require_same(self, calls: Iterator[Moment], what: str) -> None:
        """Raise Broken if another play of the game differs from the record."""
        for expected, seen in zip(self.moments, calls, strict=True):
            if text := difference(expected.answer(), seen.answer(), f"{what}, {seen.call}: "):
                raise Broken(text)

    def again(
        self, game: Any, seed: int = 0, global_seed: int | None = GLOBAL_SEED
    ) -> Iterator[Moment]:
        """Yield as many calls as are recorded, of a play."""
        return islice(self.foreign.play(game, seed, global_seed), len(self.moments))


def plays(trial: Trial) -> str:
    """Reset and step run, and return the dictionaries that a ParallelEnv returns."""
    if (last := trial.moments[-1]).error:
        raise Broken(f"{last.call}: {last.error}")
    resets = [moment for moment in trial.moments if moment.is_reset]
    ends = sum(not moment.agents for moment in trial.moments)
    return f"{len(trial.moments):,} calls, {len(resets)} resets, the game ended {ends} episodes"


def agents(trial: Trial) -> None:
    """All agents begin; who ends leaves, nobody else does, and nobody returns."""
    trial.require(rules.who_begins)
    trial.require(rules.who_leaves)


def ends(trial: Trial) -> None:
    """Everyone who acted is told by a bool whether it has terminated, and whether it was truncated."""
    trial.require(rules.ends)


def rewards(trial: Trial) -> None:
    """Everyone who acted, and nobody else, is paid one number."""
    trial.require(rules.rewards)


def observations(trial: Trial) -> None:
    """Everyone who goes on observes something of the shape of its space."""
    trial.require(rules.observations)


def masks(trial: Trial) -> str | None:
    """An action mask has a place for every action, and allows one to everyone who goes on."""
    trial.require(rules.masks)
    if not any(_tells_mask(trial, moment) for moment in trial.moments):
        raise Skipped("no action_mask")


def dtypes(trial: Trial) -> None:
    """Observations are arrays of the dtype of their space, or of one that casts to it safely."""
    trial.require(rules.dtypes)


def bounds(trial: Trial) -> None:
    """Observations lie within their space."""
    trial.require(rules.bounds)


def finite(trial: Trial) -> None:
    """Observations and rewards are finite numbers."""
    trial.require(rules.finite)


def changes(trial: Trial) -> None:
    """Observations change within an episode; those of a single number need not."""
    latest: dict[str, Any] = {}
    num_pairs = 0
    for moment in trial.moments:
        earlier, latest = {} if moment.is_reset else latest, {}
        for agent, value in rules.views(moment, trial.foreign.agents):
            if agent.obs_size > 1:
                latest[agent.name] = np.asarray(value)
        pairs = [(earlier[name], latest[name]) for name in latest if name in earlier]
        if not all(np.array_equal(*pair) for pair in pairs):
            return
        num_pairs += len(pairs)
    if not num_pairs:
        raise Skipped("all agents observe a single number")
    calls = f"nobody's observation changes after a reset, in {len(trial.moments):,} calls"
    raise Broken(f"{calls}; perhaps they are only drawn for a render_mode")


def actions(trial: Trial) -> None:
    """Step leaves the dictionary of actions as it is."""
    trial.require(rules.actions)


def spaces(trial: Trial) -> None:
    """A space is the same object at every call, and possible_agents stay as they are."""
    assert trial.moments, "it has been played"
    game, names = trial.foreign.game, list(trial.foreign.agents)
    with calm():
        for name in names:
            for method in ("observation_space", "action_space"):
                if getattr(game, method)(name) is not getattr(game, method)(name):
                    raise Broken(f"{method}({name!r}): expected the same object, got another")
        if list(game.possible_agents) != names:
            raise Broken(f"possible_agents: expected {names}, got {list(game.possible_agents)}")


def seeds(trial: Trial) -> None:
    """Resets with the same seeds and the same actions give the same game."""
    another = trial.foreign.recipe.build()
    trial.require_same(trial.again(another), "another copy with the same seeds")
    trial.require_same(trial.again(another), "the same copy once more with the same seeds")


def generators(trial: Trial) -> None:
    """The global random generators of Python, numpy and torch are not used."""
    for moment in trial.moments:
        if moment.moved:
            names = " and ".join(moment.moved)
            raise Broken(f"{moment.call}: draws from or seeds {names}, expected its own generator")
    calls = trial.again(trial.foreign.recipe.build(), global_seed=GLOBAL_SEED + 1)
    trial.require_same(calls, "with other global seeds")


def copies(trial: Trial) -> None:
    """Copies of the game that play in turn share nothing."""
    game, another = trial.foreign.recipe.build(), trial.foreign.recipe.build()
    others = trial.again(another, seed=1, global_seed=None)
    in_turn = (moment for moment, _ in zip(trial.again(game), others, strict=False))
    trial.require_same(in_turn, "beside another copy")


def _tells_mask(trial: Trial, moment: Moment) -> bool:
    in_dict = any(agent.is_in_dict for agent in trial.foreign.agents.values())
    return in_dict or any("action_mask" in info for info in moment.infos.values())


PROMISES = (
    *(plays, agents, ends, rewards, observations, masks, dtypes, bounds, finite),
    *(changes, actions, spaces, seeds, generators, copies),
)
"""All of them; the others cannot be tried where the first is broken."""
RESTS_ON = {
    "changes": ("agents", "ends", "rewards", "observations", "masks"),
    "generators": ("seeds",),
    "copies": ("seeds", "generators"),
}
"""Promises that cannot be tried where others are broken: they would show the consequences."""
HARMLESS = {"game/dtypes", "game/bounds", "game/changes", "game/actions", "game/spaces"}
"""Promises that, where they are broken, keep no other class from being tried in the game."""
