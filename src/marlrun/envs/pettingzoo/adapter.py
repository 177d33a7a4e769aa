"""One foreign game as rows of numbers: spaces are flattened, agents have fixed places.

Shapes: N agents, O observation features, A actions, S state features, C copies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, NamedTuple, cast

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from marlrun.envs.pettingzoo.names import Recipe, calm
from marlrun.system.errors import with_type

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

RESET_ANSWERS = ("observations", "infos")
STEP_ANSWERS = ("observations", "rewards", "terminations", "truncations", "infos")
"""What `reset` and `step` of a ParallelEnv return, each by the agent's name."""


class PromiseError(ValueError):
    """A foreign game does what PettingZoo does not allow, or what no learner here takes."""


class CopyError(RuntimeError):
    """One of several copies of a foreign game failed; the reason is one line."""

    def __init__(self, index: int, reason: str):
        super().__init__(index, reason)
        self.index, self.reason = index, reason


class Row(NamedTuple):
    """What a copy of a game shows; or of several copies, with an axis [C] in front."""

    obs: Floats
    """[N, O]: zero where an agent has left before, and beyond an agent's own size."""
    reward: Floats
    """[N]"""
    terminated: Flags
    """[]: the game has ended, and nobody who acted in its last step was truncated."""
    truncated: Flags
    """[]: the game has ended otherwise."""
    alive: Flags
    """[N]: False from the step on in which an agent leaves.

    After the last step it is True for those whom the game truncated then, since their future would
    have gone on, and False for those who terminated.
    """
    action_mask: Flags | None
    """[N, A], of games that have one; False beyond an agent's own actions."""
    state: Floats | None
    """[S], where it is asked for."""


@dataclass(frozen=True)
class Agent:
    """What is fixed of one agent: its name, and its spaces."""

    name: str
    space: Any
    """The Box or Discrete of what it observes, without the mask of its actions."""
    is_in_dict: bool
    """Whether the game gives observation and mask as one Dict."""
    num_actions: int
    first_action: int

    @property
    def obs_size(self) -> int:
        """How many numbers it observes: those of a Box, or a one-hot Discrete."""
        return int(self.space.n) if _is(self.space, Discrete) else prod(self.space.shape)

    def features(self, observation: Any) -> Floats:
        """Return an observation as [obs_size].

        PromiseError if it is not of the space's size, or not finite in float32.
        """
        value = observation["observation"] if self.is_in_dict else observation
        if _is(self.space, Discrete):
            place = int(value) - int(self.space.start)
            if not 0 <= place < self.obs_size:
                raise PromiseError(f"{self.name} observes {value}, expected one of {self.space}")
            return np.eye(1, self.obs_size, place, dtype=np.float32)[0]
        numbers = np.asarray(value, dtype=np.float32).ravel()
        if numbers.size != self.obs_size:
            shape, expected = np.shape(value), self.space.shape
            raise PromiseError(f"{self.name} observes an array {shape}, its space says {expected}")
        if not np.isfinite(numbers).all():
            wrong = numbers[~np.isfinite(numbers)][0]
            raise PromiseError(f"{self.name} observes {wrong}, expected finite numbers of float32")
        return numbers

    def mask(self, observation: Any, info: Mapping[str, Any], lives: bool) -> Flags:
        """Return which of its actions are allowed, [num_actions]; all where nothing is said."""
        mask = observation["action_mask"] if self.is_in_dict and lives else info.get("action_mask")
        if mask is None or not lives:
            return np.ones(self.num_actions, dtype=np.bool_)
        allowed = np.asarray(mask).astype(np.bool_).ravel()
        if allowed.size != self.num_actions:
            sizes = f"of {allowed.size} actions, expected {self.num_actions}"
            raise PromiseError(f"{self.name} has an action mask {sizes}")
        return allowed


def read_agents(game: Any, game_id: str) -> tuple[Agent, ...]:
    """Return the agents of a game in their order; ValueError for a space that no learner takes."""
    names: list[Any] = list(getattr(game, "possible_agents", ()))
    try:
        if not names:
            raise PromiseError("has no possible_agents, expected the names of its agents")
        are_texts = all(isinstance(name, str) and name and name.isprintable() for name in names)
        if not are_texts or len(set(names)) < len(names):
            raise PromiseError(f"possible_agents are {names}, expected different printable texts")
        return tuple(_read_agent(game, name) for name in names)
    except Exception as error:
        reason = str(error) if isinstance(error, PromiseError) else with_type(error)
        raise ValueError(f"env.id={game_id}: {reason}") from error


def _read_agent(game: Any, name: str) -> Agent:
    space: Any = game.observation_space(name)
    actions: Any = game.action_space(name)
    is_in_dict = _is(space, Dict) and set(space) == {"observation", "action_mask"}
    inner: Any = space["observation"] if is_in_dict else space
    if not _is(inner, Box, Discrete):
        expected = "expected Box, Discrete, or Dict(observation=.., action_mask=..)"
        raise PromiseError(f"{name} observes {inner}, {expected}")
    if not _is(actions, Discrete):
        why = ": no algorithm here has continuous actions" if _is(actions, Box) else ""
        raise PromiseError(f"{name} has actions {actions}, expected Discrete{why}")
    agent = Agent(name, inner, is_in_dict, int(actions.n), int(actions.start))
    if agent.obs_size == 0:
        raise PromiseError(f"{name} observes {inner}, expected at least one number")
    return agent


def answered(answer: Any, names: Sequence[str], method: str) -> list[Mapping[str, Any]]:
    """Return the dictionaries that a game answers with; PromiseError unless there are so many."""
    size = len(answer) if isinstance(answer, tuple) else type(answer).__name__  # pyright: ignore[reportUnknownArgumentType]
    if size != len(names):
        got = f"{size} values" if isinstance(size, int) else f"one {size}"
        raise PromiseError(f"{method} returns {got}, expected {', '.join(names)}")
    parts = cast("tuple[Any, ...]", answer)
    for name, part in zip(names, parts, strict=True):
        if not isinstance(part, Mapping):
            kind = type(part).__name__
            raise PromiseError(f"{method} returns {name} as {kind}, expected a dict by agent")
    return list(parts)


def _is(space: object, *kinds: type) -> bool:
    """Say whether a space is of one of these kinds, whose types are known only in part."""
    return isinstance(space, kinds)


class Adapter:
    """A copy of a foreign game. PromiseError says what it does that PettingZoo does not allow."""

    def __init__(self, recipe: Recipe, render_mode: str | None = None):
        """Build the game; ValueError, in one line, if that is not possible."""
        self.game = recipe.build(render_mode)
        with calm():
            self.agents = read_agents(self.game, recipe.id)
        self._recipe = recipe
        self._shape = len(self.agents), max(agent.obs_size for agent in self.agents)
        self._num_actions = max(agent.num_actions for agent in self.agents)
        self.tells_masks = False
        """Whether the last reset said which actions are allowed."""
        self._alive = np.zeros(len(self.agents), dtype=np.bool_)

    def reset(self, seed: int) -> Row:
        """Begin the episode of a seed."""
        observations, infos = answered(self.game.reset(seed=seed), RESET_ANSWERS, "reset")
        present = set(self.game.agents)
        for agent in self.agents:
            if agent.name not in present:
                raise PromiseError(f"{agent.name} is absent at reset, expected all possible_agents")
        self._alive = np.ones(len(self.agents), dtype=np.bool_)
        self.tells_masks = any(agent.is_in_dict for agent in self.agents) or any(
            "action_mask" in info for info in infos.values()
        )
        return self._row(observations, infos, self._alive, self._alive)

    def step(self, actions: NDArray[np.int64]) -> Row:
        """Play the actions [N] of those who live."""
        acting = self._alive
        joint = {
            agent.name: agent.first_action + int(action)
            for agent, action, acts in zip(self.agents, actions, acting, strict=True)
            if acts
        }
        answers = answered(self.game.step(joint), STEP_ANSWERS, "step")
        observations, rewards, terminations, truncations, infos = answers
        terminated, truncated = self._flags(terminations), self._flags(truncations)
        remains = self._remaining(acting)
        self._alive = alive = acting & remains & ~terminated & ~truncated
        over = not alive.any()
        if over:
            alive = acting & truncated & ~terminated
        elif not self._recipe.agents_leave and not alive.all():
            name = self._name(acting & ~alive)
            raise PromiseError(
                f"{name} leaves before the others, env.agents_leave=false forbids it"
            )
        row = self._row(observations, infos, acting, alive, over)
        was_truncated = alive.any()
        return row._replace(
            reward=self._rewards(rewards, acting),
            terminated=np.array(over and not was_truncated),
            truncated=np.array(over and was_truncated),
        )

    def render(self, _: Any) -> NDArray[np.uint8]:
        """Return the game's own picture [height, width, 3]."""
        picture: Any = self.game.render()
        shape = np.shape(picture)
        if len(shape) != 3 or shape[-1] != 3:
            kind = f"{type(picture).__name__} of shape {shape}"
            raise PromiseError(f"render returns a {kind}, expected [height, width, 3]")
        return np.asarray(picture, np.uint8)

    def _flags(self, flags: Mapping[str, Any]) -> Flags:
        return np.array([bool(flags.get(agent.name, False)) for agent in self.agents])

    def _name(self, which: Flags) -> str:
        """Return the name of the first of these agents."""
        return self.agents[int(which.argmax())].name

    def _remaining(self, acting: Flags) -> Flags:
        """Return who is among the game's agents, [N]; nobody returns who has left before."""
        present = set(self.game.agents)
        remains = np.array([agent.name in present for agent in self.agents])
        if (remains & ~acting).any():
            raise PromiseError(f"{self._name(remains & ~acting)} has left and is an agent again")
        return remains

    def _rewards(self, rewards: Mapping[str, Any], acting: Flags) -> Floats:
        row = np.zeros(len(self.agents), np.float32)
        for i in np.flatnonzero(acting):
            name = self.agents[i].name
            if name not in rewards:
                raise PromiseError(f"{name} has acted and gets no reward")
            row[i] = rewards[name]
            if not isfinite(row[i]):
                raise PromiseError(f"{name} is paid {rewards[name]}, expected a finite number")
        return row

    def _row(
        self,
        observations: Mapping[str, Any],
        infos: Mapping[str, Mapping[str, Any]],
        acting: Flags,
        alive: Flags,
        over: bool = False,
    ) -> Row:
        """Return what is seen by those who acted; all but an agent that leaves must observe."""
        obs = np.zeros(self._shape, np.float32)
        mask = None
        if self._recipe.has_mask:
            mask = np.zeros((self._shape[0], self._num_actions), np.bool_)
        for i, agent in enumerate(self.agents):
            observation = observations.get(agent.name) if acting[i] else None
            if observation is None and alive[i]:
                raise PromiseError(f"{agent.name} lives and has no observation")
            if observation is not None:
                obs[i, : agent.obs_size] = agent.features(observation)
            if mask is not None:
                allowed = agent.mask(observation, infos.get(agent.name, {}), alive[i])
                if not allowed.any() and not over:
                    raise PromiseError(f"{agent.name} has an action mask that allows no action")
                mask[i, : agent.num_actions] = allowed | (not allowed.any())
        state = np.asarray(self.game.state(), np.float32).ravel() if self._recipe.state else None
        no = np.array(False)
        return Row(obs, np.zeros_like(obs[:, 0]), no, no, alive.copy(), mask, state)


class Copies:
    """Copies of a foreign game in this process."""

    def __init__(self, adapters: Sequence[Adapter]):
        """Take the copies, of one game."""
        self._adapters = adapters

    def reset(self, indices: Sequence[int], seeds: Sequence[int]) -> Row:
        """Begin the episode of a seed in each of these copies; return their rows."""
        with calm():
            pairs = zip(indices, seeds, strict=True)
            return stacked([self._play(index, "reset", seed) for index, seed in pairs])

    def step(self, actions: NDArray[np.int64]) -> Row:
        """Play actions [C, N]; return the rows of all copies."""
        with calm():
            return stacked([self._play(index, "step", row) for index, row in enumerate(actions)])

    def render(self, index: int) -> Any:
        """Return what a copy draws of itself, uint8 [height, width, 3]; CopyError if it cannot."""
        with calm():
            return self._play(index, "render", ())

    def _play(self, index: int, method: str, argument: Any) -> Any:
        try:
            return getattr(self._adapters[index], method)(argument)
        except PromiseError as error:
            raise CopyError(index, str(error)) from error
        except (Exception, SystemExit) as error:
            raise CopyError(index, with_type(error)) from error


def stacked(rows: Sequence[Row]) -> Row:
    """Return the rows of single copies as those of several."""
    return _combined(rows, np.stack)


def joined(rows: Sequence[Row]) -> Row:
    """Return the rows of several copies, and those of others, as those of all."""
    return _combined(rows, np.concatenate)


def _combined(rows: Sequence[Row], combine: Callable[..., Any]) -> Row:
    parts: Any = zip(*rows, strict=True)
    arrays: Any = [None if part[0] is None else combine(part) for part in parts]
    return Row(*arrays)
