"""A foreign PettingZoo game as it is, played and recorded call by call, without our adapter."""

import random
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from marlrun.checks.subject import fitting_steps, seed_global_generators
from marlrun.envs.pettingzoo.adapter import (
    RESET_ANSWERS,
    STEP_ANSWERS,
    Agent,
    Flags,
    PromiseError,
    answered,
    read_agents,
)
from marlrun.envs.pettingzoo.names import Recipe, calm
from marlrun.streams import Stream, derive
from marlrun.system.errors import with_type

_CPU = torch.device("cpu")
GLOBAL_SEED = 271_828
"""Of the global random generators: no seed that a game is likely to choose itself."""


class Moment(NamedTuple):
    """One call of reset or step: what the game was given, and what it answered.

    The dictionaries are by the agent's name.
    """

    call: str
    """For messages: "reset of episode 1" or "step 3 of episode 1"."""
    acting: tuple[str, ...] = ()
    """The agents that act in a step."""
    absent: frozenset[str] = frozenset()
    """The agents that have left earlier in this episode."""
    actions: Mapping[str, int] = {}
    actions_afterwards: Mapping[str, int] = {}
    """The dictionary of actions as the game leaves it."""
    observations: Mapping[str, Any] = {}
    rewards: Mapping[str, Any] = {}
    terminations: Mapping[str, Any] = {}
    truncations: Mapping[str, Any] = {}
    infos: Mapping[str, Mapping[str, Any]] = {}
    agents: tuple[str, ...] = ()
    """The game's agents after the call."""
    moved: tuple[str, ...] = ()
    """The global random generators that the call has drawn from, or seeded."""
    error: str = ""
    """Why the call gave no answer, where it gave none."""

    @property
    def is_reset(self) -> bool:
        """Whether an episode begins."""
        return not self.acting

    def answer(self) -> dict[str, Any]:
        """Return all that two plays of a game must have in common, its numbers as tensors."""
        parts = {name: _with_tensors(getattr(self, name)) for name in STEP_ANSWERS}
        return {**parts, "agents": self.agents, "error": self.error}


@dataclass(frozen=True)
class ForeignGame:
    """A game on trial: how it is built, and how long it is played."""

    recipe: Recipe
    horizon: int

    @cached_property
    def game(self) -> Any:
        """A copy of the game: the one whose play is recorded."""
        return self.recipe.build()

    @cached_property
    def agents(self) -> dict[str, Agent]:
        """Its agents by name; ValueError if its spaces are none that a learner takes."""
        with calm():
            return {agent.name: agent for agent in read_agents(self.game, self.recipe.id)}

    @cached_property
    def num_steps(self) -> int:
        """How many calls are recorded."""
        spaces = [agent.space for agent in self.agents.values()]
        size = sum(8 * prod(space.shape) for space in spaces)
        return fitting_steps(self.horizon, size)

    def play(
        self, game: Any, seed: int = 0, global_seed: int | None = GLOBAL_SEED
    ) -> Iterator[Moment]:
        """Yield the calls of episode after episode under legal random actions, until one fails.

        Two plays with one `seed` have the same actions and the same seeds of resets. The global
        random generators are seeded by `global_seed` first, unless it is None.
        """
        if global_seed is not None:
            seed_global_generators(global_seed)
        policy, episode = _Policy(self.agents, seed), 0
        while True:
            episode += 1
            reset_seed = derive(seed, f"checks/foreign/{episode}") >> 32
            moment = _call(game, Moment(f"reset of episode {episode}"), seed=reset_seed)
            yield moment
            absent: frozenset[str] = frozenset()
            for step in range(1, self.horizon + 1):
                if moment.error:
                    return
                if not moment.agents:
                    break
                absent |= frozenset(self.agents) - frozenset(moment.agents)
                call = f"step {step} of episode {episode}"
                actions = policy(moment)
                moment = _call(game, Moment(call, moment.agents, absent, actions))
                yield moment


class _Policy:
    """Every agent that acts chooses uniformly among its legal actions."""

    def __init__(self, agents: Mapping[str, Agent], seed: int):
        self._agents, self._counter = agents, 0
        self._stream = Stream([seed], "checks/foreign", _CPU)

    def __call__(self, moment: Moment) -> dict[str, int]:
        """Return the actions that follow on what was answered."""
        drawn = self._stream.uniform(self._counter, len(self._agents))
        numbers = cast("list[float]", drawn[0].tolist())
        self._counter += 1
        return {
            name: agent.first_action + _chosen(mask_of(agent, moment), number)
            for (name, agent), number in zip(self._agents.items(), numbers, strict=True)
            if name in moment.agents
        }


def _chosen(mask: Flags, number: float) -> int:
    """Return one of the actions that are allowed, by a number in [0, 1)."""
    allowed = np.flatnonzero(mask)
    return int(allowed[int(number * len(allowed))])


def mask_of(agent: Agent, moment: Moment) -> Flags:
    """Return the actions that are allowed to an agent next; PromiseError if they are too many."""
    observation = moment.observations.get(agent.name)
    return agent.mask(observation, moment.infos.get(agent.name, {}), True)


def _call(game: Any, moment: Moment, **reset: int) -> Moment:
    """Return the moment with what the game answers."""
    before, actions = _global_states(), dict(moment.actions)
    try:
        with calm():
            answer = game.reset(**reset) if moment.is_reset else game.step(actions)
        names, method = (RESET_ANSWERS, "reset") if moment.is_reset else (STEP_ANSWERS, "step")
        parts = deepcopy(dict(zip(names, answered(answer, names, method), strict=True)))
        agents = tuple(game.agents)
    except PromiseError as error:
        return moment._replace(error=str(error))
    except (Exception, SystemExit) as error:
        return moment._replace(error=with_type(error))
    after = _global_states()
    moved = tuple(name for name in before if before[name] != after[name])
    return moment._replace(**parts, agents=agents, moved=moved, actions_afterwards=actions)


def _global_states() -> dict[str, Any]:
    """Return the states of the global random generators, to be compared."""
    kind, keys, *position = cast("tuple[Any, ...]", np.random.get_state())  # noqa: NPY002
    return {
        "random": random.getstate(),
        "numpy.random": (kind, keys.tobytes(), *position),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def _with_tensors(tree: Any) -> Any:
    """Return a tree whose numbers and arrays of numbers are tensors: two NaN are the same there."""
    if isinstance(tree, Mapping):
        items = cast("Mapping[Any, Any]", tree).items()
        return {key: _with_tensors(part) for key, part in items}
    if isinstance(tree, list | tuple):
        return [_with_tensors(part) for part in cast("list[Any]", tree)]
    if not isinstance(tree, float | np.ndarray | np.generic):
        return tree
    array: Any = np.array(tree)
    if array.dtype.kind in "iu":
        # Torch has not all of numpy's integers.
        return torch.from_numpy(array.astype(np.int64))
    return torch.from_numpy(array) if array.dtype.kind in "bf" else array.tolist()
