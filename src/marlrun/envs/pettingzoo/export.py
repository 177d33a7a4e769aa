"""Games of marlrun as PettingZoo parallel environments of one copy."""

import io
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np
import torch
from gymnasium.spaces import Space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv  # pyright: ignore[reportMissingTypeStubs]

from marlrun.config.schema import declared, did_you_mean, options
from marlrun.envs.common.render import FRAMES_PER_SECOND, check_mode
from marlrun.envs.pettingzoo.spaces import Spaces, action_spaces, observation_spaces, state_space
from marlrun.types import Drawable, Env, Step

Observations = dict[str, NDArray[np.float32]]
Infos = dict[str, dict[str, Any]]
RenderMode = Literal["ansi", "rgb_array"]


class ParallelGame(ParallelEnv[str, Any, Any]):
    """Plays the game that `make(seed)` builds with one replica and one copy.

    An agent that leaves has terminated, and is not in `agents` any more. Where the game masks
    actions, the mask of an agent's own actions is int8 `infos[agent]["action_mask"]`. A continuing
    game is truncated at the end of its window, and `reset` begins it anew.

    A copy by `pickle` or `copy.deepcopy` goes on within the episode with the same numbers. torch
    starts no thread, so a forked process may go on as well.
    """

    def __init__(
        self, make: Callable[[int], Env], name: str, render_mode: RenderMode | None = None
    ):
        self._make = make
        self._begin(_any_seed())
        modes = ["ansi", "rgb_array"] if hasattr(self._env, "render") else []
        speed = getattr(self._env, "frames_per_second", FRAMES_PER_SECOND)
        self.metadata = {"name": name, "render_modes": modes, "render_fps": speed}
        if render_mode is not None:
            check_mode(render_mode)
            if render_mode not in modes:
                raise ValueError(f"render_mode={render_mode}: {name} cannot be drawn")
        self.render_mode: RenderMode | None = render_mode
        self._step: Step | None = None
        """What the agents saw last; None before the first `reset`."""
        spec = self._env.spec
        self.possible_agents = list(spec.agent_names)
        self._index = {agent: i for i, agent in enumerate(spec.agent_names)}
        self.agents: list[str] = []
        self.observation_spaces: Spaces = {**observation_spaces(self._env)}
        self.action_spaces = action_spaces(spec)
        with one_thread():
            self.state_space: Space[Any] = state_space(self._env, self._env.reset())

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
            step = self._step = self._env.reset()
        self.agents = self._living(step)
        return self._observations(step, self.agents), self._infos(step, self.agents)

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play an action of every agent; after the end of the episode, return empty dictionaries.

        ValueError if an action is missing, outside its space or masked, or no episode has begun.
        """
        before = self._last_step("step")
        if not self.agents:
            return {}, {}, {}, {}, {}
        with one_thread():
            step = self._step = self._env.step(self._joint(actions, before))
        acting, living = self.agents, self._living(step)
        left, rewards = set(acting) - set(living), step.reward[0, 0].numpy()
        is_terminated, is_truncated = bool(step.terminated[0, 0]), bool(step.truncated[0, 0])
        self.agents = [] if is_terminated or is_truncated else living
        return (
            self._observations(step, acting),
            {agent: float(rewards[self._index[agent]]) for agent in acting},
            {agent: is_terminated or agent in left for agent in acting},
            {agent: is_truncated and agent not in left for agent in acting},
            self._infos(step, acting),
        )

    def state(self) -> NDArray[np.float32]:
        """Return the state [S] float32 that a central critic may see.

        It is the game's own state where it has one, and otherwise what all agents observe, in the
        order of `possible_agents`. ValueError if no episode has begun.
        """
        step = self._last_step("state")
        if step.state is None:
            return np.concatenate(list(self._observations(step, self.possible_agents).values()))
        return step.state[0, 0].numpy().astype(np.float32)

    def render(self) -> str | NDArray[np.uint8] | None:
        """Return text or pixels uint8 [height, width, 3], as `render_mode` says; None without a mode.

        ValueError if no episode has begun.
        """
        if self.render_mode is None:
            return None
        self._last_step("render")
        with one_thread():
            return cast(Drawable, self._env).render(self.render_mode)

    def __getstate__(self) -> dict[str, Any]:
        if not getattr(self._env, "resumable", True):
            name = self.metadata["name"]
            raise ValueError(f"{name}: a game that is not resumable cannot be copied")
        # Tensors would be shared with another process, where `multiprocessing` pickles them.
        content = io.BytesIO()
        torch.save((self._env.state_dict(), self._step and tuple(self._step)), content)
        return vars(self) | {"_env": content.getvalue(), "_step": None}

    def __setstate__(self, content: dict[str, Any]) -> None:
        vars(self).update(content)
        self._begin(self._seed)
        state, step = torch.load(io.BytesIO(content["_env"]), weights_only=True)
        self._env.load_state_dict(state)
        self._step = step and Step(*step)

    def _begin(self, seed: int) -> None:
        """Build a new game from a seed."""
        self._seed = seed
        with one_thread():
            self._env = self._make(seed)

    def _last_step(self, method: str) -> Step:
        """Return what the agents saw last; ValueError if no episode has begun."""
        if self._step is None:
            raise ValueError(f"{method}() before reset(): expected reset() first")
        return self._step

    def _joint(self, actions: Mapping[str, int], before: Step) -> torch.Tensor:
        """Return the actions of all agents, int64 [1, 1, N]; an agent that has left has action 0."""
        joint = [0] * len(self.possible_agents)
        for agent in self.agents:
            action, space = actions.get(agent), self.action_spaces[agent]
            if action is None or not space.contains(action):
                raise ValueError(f"action of {agent}: got {action}, expected {space}")
            i = self._index[agent]
            if before.action_mask is not None and not before.action_mask[0, 0, i, action]:
                raise ValueError(f"action of {agent}: {action} is masked")
            joint[i] = int(action)
        return torch.tensor([[joint]])

    def _living(self, step: Step) -> list[str]:
        """Return the agents that have not left."""
        if step.alive is None:
            return self.possible_agents[:]
        return [agent for agent, i in self._index.items() if step.alive[0, 0, i]]

    def _observations(self, step: Step, agents: Iterable[str]) -> Observations:
        rows, sizes, index = step.obs[0, 0].numpy(), self._env.spec.obs_sizes, self._index
        return {agent: rows[i := index[agent], : sizes[i]].copy() for agent in agents}

    def _infos(self, step: Step, agents: Iterable[str]) -> Infos:
        if step.action_mask is None:
            return {agent: {} for agent in agents}
        rows, sizes, index = step.action_mask[0, 0].numpy(), self._env.spec.num_actions, self._index
        return {
            agent: {"action_mask": rows[i := index[agent], : sizes[i]].astype(np.int8)}
            for agent in agents
        }


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
    # The tasks of env=tasks are completed by the command line, from the user's files too.
    games = [name for name in options("env") if name not in ("pettingzoo", "tasks")]
    if game not in games:
        is_foreign = "is PettingZoo's own already, " if game == "pettingzoo" else ""
        guess = did_you_mean(game, games)
        raise ValueError(f"env={game}: {is_foreign}expected one of {', '.join(games)}{guess}")
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
