"""matrix_game: one-shot games by their payoff (Claus & Boutilier 1998 and the textbook ones)."""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from marlrun.envs.common import payoffs
from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.render import draw_table
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step


class MatrixGame:
    """In every round all agents act at once and are paid; after `horizon` rounds the game ends.

    Agents see a constant 1. The payoff is that of the named `game`, or else `payoff`: a nested list
    whose axes are the agents' actions in order (one matrix common to all agents), or a list of one
    such matrix per agent. A list of depth d has one matrix per agent if its length is d - 1 >= 2.
    """

    obs_bounds = 0.0, 1.0
    """PettingZoo's tests take equal bounds for a mistake, so the constant 1 is the higher one."""

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        game: str,
        payoff: Sequence[Any] | None,
        horizon: int,
        discount: float,
    ):
        """Raise ValueError if the game or the payoff cannot be read."""
        self._table = payoffs.read(game, payoff)
        num_agents, *num_actions = self._table.shape
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(1,) * num_agents,
            num_actions=tuple(num_actions),
            horizon=horizon,
            discount=discount,
            pays_for="after",
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        rows = self._table.reshape(num_agents, -1).T
        self._payoffs = torch.tensor(rows, dtype=torch.float32, device=device)
        strides = [prod(num_actions[agent + 1 :]) for agent in range(num_agents)]
        self._strides = torch.tensor(strides, device=device)
        self._obs = torch.ones(len(seeds), num_envs, num_agents, 1, device=device)
        self._choice = torch.full(self._obs.shape[:2], -1, dtype=torch.int64, device=device)
        self._episodes = Episodes(self._obs, horizon)

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        self._episodes.tick()
        return self.restart(self._episodes.over)

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        self._episodes.tick()
        self._choice = (action * self._strides).sum(-1)
        reward = embedding(self._choice, self._payoffs)
        return self._episodes.after_round(self._obs, reward)

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        if self._episodes.nothing_to_begin(step):
            return step
        return self._episodes.begin(step, self._obs)

    def idle(self) -> None:
        """Count a step in which nobody plays."""
        self._episodes.tick()

    def state_dict(self) -> StateDict:
        """Return all that decides how the game goes on, and what `render` shows."""
        return {"episodes": self._episodes.state_dict(), "choice": self._choice.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._episodes.load_state_dict(state["episodes"])
        self._choice.copy_(state["choice"])

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Return a picture or text of the payoffs, with the last joint action marked."""
        return draw_table(mode, self._table, int(self._choice[replica, copy]))
