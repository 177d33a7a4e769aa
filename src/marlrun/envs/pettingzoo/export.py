"""Games of marlrun as PettingZoo parallel environments of one copy."""

import io
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv  # pyright: ignore[reportMissingTypeStubs]

from marlrun.config.schema import declared, did_you_mean, options
from marlrun.envs.common.render import check_mode
from marlrun.types import Drawable, Env, Step

Observations = dict[str, NDArray[np.float32]]
Infos = dict[str, dict[str, Any]]
RenderMode = Literal["ansi", "rgb_array"]


class ParallelGame(ParallelEnv[str, Any, Any]):
    """Plays the game that `make(seed)` builds with one replica and one copy.

    All agents live until the episode ends. Observations lie in [-1, 1]. A copy by `pickle` or
    `copy.deepcopy` goes on within the episode with the same numbers. torch starts no thread, so a
    forked process may go on as well.
    """

    def __init__(
        self, make: Callable[[int], Env], name: str, render_mode: RenderMode | None = None
    ):
        if render_mode is not None:
            check_mode(render_mode)
        self.metadata = {"name": name, "render_modes": ["ansi", "rgb_array"], "render_fps": 5}
        self.render_mode: RenderMode | None = render_mode
        self._make = make
        self._begin(_any_seed())
        self._was_reset = False
        spec = self._env.spec
        self.possible_agents = list(spec.agent_names)
        self.agents: list[str] = []
        self.observation_spaces: dict[str, Space[Any]] = {
            agent: Box(-1.0, 1.0, (size,), np.float32)
            for agent, size in zip(spec.agent_names, spec.obs_sizes, strict=True)
        }
        self.action_spaces: dict[str, Space[Any]] = {
            agent: Discrete(number)
            for agent, number in zip(spec.agent_names, spec.num_actions, strict=True)
        }

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the space of an agent, which is the same object every time."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """Return the space of an agent, which is the same object every time."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Begin the first episode of `seed`, or the next episode if it is None; ignore `options`.

        ValueError if `seed` is not a whole number of at least 0.
        """
        if seed is not None:
            self._begin(_checked_seed(seed))
        with one_thread():
            step = self._env.reset()
        self._was_reset = True
        self.agents = self.possible_agents[:]
        return self._observations(step), self._infos()

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play an action of every agent; after the end of the episode, return empty dictionaries.

        ValueError if an action is missing or outside its space, or no episode has begun.
        """
        self._expect_reset("step")
        if not self.agents:
            return {}, {}, {}, {}, {}
        with one_thread():
            step = self._env.step(self._joint(actions))
        ends = bool(step.terminated[0, 0]), bool(step.truncated[0, 0])
        rewards = dict(zip(self.agents, map(float, step.reward[0, 0]), strict=True))
        terminated, truncated = (dict.fromkeys(self.agents, end) for end in ends)
        infos = self._infos()
        if any(ends):
            self.agents = []
        return self._observations(step), rewards, terminated, truncated, infos

    def render(self) -> str | NDArray[np.uint8] | None:
        """Return text or pixels uint8 [height, width, 3], as `render_mode` says; None without a mode.

        ValueError if no episode has begun.
        """
        if self.render_mode is None:
            return None
        self._expect_reset("render")
        with one_thread():
            return cast(Drawable, self._env).render(self.render_mode)

    def __getstate__(self) -> dict[str, Any]:
        # Tensors would be shared with another process, where `multiprocessing` pickles them.
        state = io.BytesIO()
        torch.save(self._env.state_dict(), state)
        return vars(self) | {"_env": state.getvalue()}

    def __setstate__(self, content: dict[str, Any]) -> None:
        vars(self).update(content)
        self._begin(self._seed)
        self._env.load_state_dict(torch.load(io.BytesIO(content["_env"]), weights_only=True))

    def _begin(self, seed: int) -> None:
        """Build a new game from a seed."""
        self._seed = seed
        with one_thread():
            self._env = self._make(seed)

    def _expect_reset(self, method: str) -> None:
        if not self._was_reset:
            raise ValueError(f"{method}() before reset(): expected reset() first")

    def _joint(self, actions: Mapping[str, int]) -> torch.Tensor:
        for agent in self.agents:
            if not self.action_spaces[agent].contains(actions.get(agent)):
                space = self.action_spaces[agent]
                raise ValueError(f"action of {agent}: got {actions.get(agent)}, expected {space}")
        return torch.tensor([[[int(actions[agent]) for agent in self.agents]]])

    def _observations(self, step: Step) -> Observations:
        rows = step.obs[0, 0].numpy()
        sizes = self._env.spec.obs_sizes
        return {
            agent: row[:size].copy()
            for agent, row, size in zip(self.possible_agents, rows, sizes, strict=True)
        }

    def _infos(self) -> Infos:
        return {agent: {} for agent in self.agents}


def parallel_env(
    game: str, /, *, render_mode: RenderMode | None = None, **keys: Any
) -> ParallelGame:
    """Return a game of marlrun, e.g. `parallel_env("target_capture", size=6, targets="each")`.

    `keys` are those of conf/env/<game>.yaml, which holds the defaults; `num_envs` is always 1.
    ValueError for an unknown game, an unknown key or a value that does not fit.
    """
    cls, values = _configure(game, keys)
    return ParallelGame(partial(_build, cls, values), f"{game}_v0", render_mode)


def _build(cls: Callable[..., Env], values: Mapping[str, Any], seed: int) -> Env:
    """Build a game; a function of the module, because closures cannot be pickled."""
    return cls([seed], torch.device("cpu"), **values)


def _configure(game: str, keys: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the class of a game, and its defaults updated by `keys`."""
    games = options("env")
    if game not in games:
        guess = did_you_mean(game, games)
        raise ValueError(f"env={game}: expected one of {', '.join(games)}{guess}")
    schema = declared(f"env/{game}", "env")
    module, _, name = schema.rules.pop("env._target_").default.rpartition(".")
    defaults = {key.removeprefix("env."): rule.default for key, rule in schema.rules.items()}
    values = {**defaults, "num_envs": 1, **keys}
    schema.check_all(values, "env")
    if values["num_envs"] != 1:
        raise ValueError(f"env.num_envs={values['num_envs']}: expected 1, a PettingZoo game is one")
    return getattr(import_module(module), name), values


def _any_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])


def _checked_seed(seed: object) -> int:
    """Return a seed as an int; ValueError if it is no whole number or negative."""
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not is_whole or (number := int(cast(int, seed))) < 0:
        raise ValueError(f"seed={seed}: expected a whole number of at least 0")
    return number


@contextmanager
def one_thread() -> Generator[None]:
    """Keep torch from starting threads, for which a forked process would wait in vain.

    The tensors here are too small to gain from threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
