"""env=pettingzoo: any PettingZoo game whose agents act at once, in many copies.

Shapes: R replicas, E copies, N agents; C = R * E copies in all, replica by replica.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marlrun.envs.pettingzoo.adapter import Adapter, Copies, CopyError, Row
from marlrun.envs.pettingzoo.names import Recipe
from marlrun.envs.pettingzoo.workers import Workers
from marlrun.streams import derive
from marlrun.system import capacity
from marlrun.system.errors import PlayError
from marlrun.types import Seeds, Spec, StateDict, Step


class PettingZooGame:
    """Copies of the game `id`; a reset is seeded by the replica's seed, the copy and the episode.

    Observations are flattened, a Discrete one is one-hot. An episode ends when all agents have
    ended, or after `horizon` steps, whichever comes first. It is truncated in the second case, or if
    the game itself truncates an agent in the last step; else it has terminated. An agent that ends
    before the others has left, however the game calls it: it is not `alive`, and is paid nothing.
    After a last step only those are alive whom the clock or the game truncated.
    """

    resumable: ClassVar[bool] = False
    truncates_early: ClassVar[bool] = True
    max_evaluation_copies: ClassVar[int] = 16

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        id: str,
        kwargs: Mapping[str, Any],
        horizon: int,
        discount: float,
        agents_leave: bool,
        state: bool,
        workers: int,
        plugins: Sequence[str] = (),
    ):
        """Try the game once; conf/env/pettingzoo.yaml says what the parameters mean.

        ValueError, in one line, if there is no such game, or if it is one that no learner can play.
        """
        recipe = Recipe(id, kwargs, tuple(plugins), agents_leave, state)
        trial = Adapter(recipe)
        self.num_envs = num_envs
        spec = Spec(
            num_agents=len(trial.agents),
            agent_names=tuple(agent.name for agent in trial.agents),
            obs_sizes=tuple(agent.obs_size for agent in trial.agents),
            num_actions=tuple(agent.num_actions for agent in trial.agents),
            horizon=horizon,
            discount=discount,
            agents_leave=agents_leave,
        )
        capacity.check_steps(spec, len(seeds), num_envs, device)
        first = _try_reset(trial, id)
        self.spec = replace(
            spec,
            has_action_mask=trial.tells_masks,
            state_size=None if first.state is None else first.state.size,
        )
        self._recipe = replace(recipe, has_mask=trial.tells_masks)
        self._seeds, self._device, self._workers = seeds, device, workers
        self._episodes = np.zeros(len(seeds) * num_envs, np.int64)
        self._ages = np.zeros_like(self._episodes)
        metadata = getattr(trial.game, "metadata", {})
        self._render_modes: Sequence[str] = metadata.get("render_modes", ())
        self._render_mode: str | None = None
        self._copies: Copies | Workers | None = None

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        row = self._begin(np.arange(self._episodes.size))
        return self._step(row, first=np.ones_like(row.terminated))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]; what agents that have left would play counts for nothing."""
        actions = action.reshape(self._episodes.size, -1).cpu().numpy()
        self._ages += 1
        row = self._ask(lambda copies: copies.step(actions))
        out_of_time = (self._ages >= self.spec.horizon) & ~row.terminated
        return self._step(row._replace(truncated=row.truncated | out_of_time))

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        done = step.done
        indices = np.flatnonzero(done.cpu().numpy())
        if not indices.size:
            return step
        row = self._begin(indices)
        begun = self._step(row, first=np.ones_like(row.terminated), shape=(indices.size,))
        parts: dict[str, Tensor] = {}
        for name, part in begun._asdict().items():
            if part is not None:
                parts[name] = getattr(step, name).clone()
                parts[name][done] = part
        return Step(**parts)

    def state_dict(self) -> StateDict:
        """Return how many episodes every copy has begun, so that none of them is played again."""
        return {"episodes": torch.from_numpy(self._episodes.copy())}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on with the next episodes, after `reset`."""
        self._episodes[:] = state["episodes"].numpy()

    def begin_drawing(self) -> None:
        """Let `render` draw from the next reset on; ValueError if the game draws no pictures."""
        if "rgb_array" not in self._render_modes:
            modes = ", ".join(self._render_modes) or "none"
            raise ValueError(
                f"video=true: env.id={self._recipe.id} cannot draw itself, expected rgb_array among "
                f"the render_modes of its metadata, got {modes}"
            )
        self._render_mode, self._copies = "rgb_array", None

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | NDArray[np.uint8]:
        """Return the game's own picture of one copy, after `begin_drawing` and a reset."""
        copies = self._copies
        assert mode == "rgb_array" and isinstance(copies, Copies)
        return self._ask(lambda _: copies.render(replica * self.num_envs + copy))

    def _begin(self, indices: NDArray[np.int64]) -> Row:
        """Begin the next episode in these copies."""
        self._ages[indices] = 0
        seeds = [self._seed(index) for index in indices.tolist()]
        self._episodes[indices] += 1
        return self._ask(lambda copies: copies.reset(indices.tolist(), seeds))

    def _seed(self, index: int) -> int:
        """Return the seed of a copy's next episode, of 31 bits, as many as every game takes."""
        replica, copy = divmod(index, self.num_envs)
        return derive(self._seeds[replica], f"pettingzoo/{copy}/{self._episodes[index]}") >> 32

    def _ask(self, question: Callable[[Copies | Workers], Any]) -> Any:
        """Return what the copies answer; PlayError names the copy that fails."""
        if self._copies is None:
            self._copies = self._make_copies()
        try:
            return question(self._copies)
        except CopyError as error:
            replica, copy = divmod(error.index, self.num_envs)
            place = (
                f"env.id={self._recipe.id}, seed {self._seeds[replica]}, copy {copy}, "
                f"episode {self._episodes[error.index]}, step {self._ages[error.index]}"
            )
            raise PlayError(f"{place}: {error.reason}") from error

    def _make_copies(self) -> Copies | Workers:
        number = self._episodes.size
        # A picture is of a game in this process.
        if self._workers and self._render_mode is None:
            return Workers(self._recipe, number, self._workers)
        return Copies([Adapter(self._recipe, self._render_mode) for _ in range(number)])

    def _step(
        self, row: Row, first: NDArray[np.bool_] | None = None, shape: tuple[int, ...] | None = None
    ) -> Step:
        """Return the rows of copies as a step; `shape` is that of the copies, [R, E] if None."""
        shape = shape or (len(self._seeds), self.num_envs)
        alive = row.alive if self.spec.agents_leave else None

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).view(*shape, *array.shape[1:]).to(self._device)

        return Step(
            tensor(np.zeros_like(row.terminated) if first is None else first),
            tensor(row.obs),
            tensor(row.reward),
            tensor(row.terminated),
            tensor(row.truncated),
            alive=None if alive is None else tensor(alive),
            action_mask=None if row.action_mask is None else tensor(row.action_mask),
            state=None if row.state is None else tensor(row.state),
        )


def _try_reset(trial: Adapter, game_id: str) -> Row:
    """Begin an episode of a game and return its row; ValueError, in one line, if that fails."""
    try:
        return Copies([trial]).reset([0], [0])
    except CopyError as error:
        raise ValueError(f"env.id={game_id}: reset fails: {error.reason}") from error
