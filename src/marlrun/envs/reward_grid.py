"""reward_grid: private rewards on a small grid, to be recovered from what an exact expert does."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.grids import HEADINGS, STAY, points, walled
from marlrun.envs.common.render import draw_grid
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

MOVES = (*HEADINGS, STAY)


class RewardGrid:
    """Two agents walk on a grid, and are paid for the cells where they stand before they move.

    Agent i, which stands in cell x while the other stands in cell y, is paid
    scale * (m_i(x) + influence * w_i(y)), less `penalty` if x = y. The maps m_i and w_i are uniform
    on [-1, 1) and belong to the seed `maps`. Actions: north, east, south, west, stay. They never
    fail, and walls keep an agent in place. An episode begins in two random cells, perhaps in one.
    Only the clock ends it, and a truncated episode would go on.

    An agent sees its own cell and the cell of the other one, each one-hot (2 * size**2 features).
    """

    obs_bounds = 0.0, 1.0

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        size: int,
        maps: int,
        scale: float,
        influence: float,
        penalty: float,
        horizon: int,
        discount: float,
    ):
        """Make the game; conf/env/reward_grid.yaml says what the parameters mean."""
        num_cells = size**2
        self._size, self._num_cells = size, num_cells
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=2,
            agent_names=("agent_0", "agent_1"),
            obs_sizes=(2 * num_cells,) * 2,
            num_actions=(len(MOVES),) * 2,
            horizon=horizon,
            discount=discount,
            pays_for="before",
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        numbers = Stream([maps], "reward_grid/maps", device).uniform(0, 2, 2, num_cells)[0]
        self._pay = _payments(scale * (2 * numbers - 1), influence, penalty)
        self._next_cell = walled(size, MOVES, device)
        self._cells = torch.zeros(len(seeds), num_envs, 2, dtype=torch.int64, device=device)
        self._episodes = Episodes(self._observe(), horizon)
        self._random = Blocks(
            Stream(seeds, "env", device),
            num_envs,
            2,
            prepare=lambda numbers: [(numbers * num_cells).long()],
        )

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        self._episodes.tick()
        return self.restart(self._episodes.over)

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        self._episodes.tick()
        reward = self._pay[self._cells[..., 0], self._cells[..., 1]]
        self._cells = self._next_cell[action, self._cells]
        return self._episodes.after_endless(self._observe(), reward)

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        if self._episodes.nothing_to_begin(step):
            return step
        starts = self._random(self._episodes.steps)
        self._cells = torch.where(step.done.unsqueeze(-1), starts, self._cells)
        return self._episodes.begin(step, self._observe())

    def idle(self) -> None:
        """Count a step in which nobody plays."""
        self._episodes.tick()

    def state_dict(self) -> StateDict:
        """Return all that decides how the game goes on."""
        return {"episodes": self._episodes.state_dict(), "cells": self._cells.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._episodes.load_state_dict(state["episodes"])
        self._cells.copy_(state["cells"])

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Return a picture or text of one copy: agents by number, and walls around the grid."""
        return draw_grid(
            mode, self._size, points(self._cells[replica, copy], self._size), walls=True
        )

    def _observe(self) -> Tensor:
        """Return what agents observe: [R, E, N, 2 * size**2], the own cell first."""
        cells = torch.stack([self._cells, self._cells.flip(-1)], -1)
        return one_hot(cells, self._num_cells).flatten(-2).float()


def _payments(maps: Tensor, influence: float, penalty: float) -> Tensor:
    """Return what agents are paid by the cells of both [C, C, N], given scaled maps [N, 2, C]."""
    own, of_other = maps.unbind(1)
    pay_0 = own[0].unsqueeze(1) + influence * of_other[0]
    pay_1 = own[1] + influence * of_other[1].unsqueeze(1)
    meets = torch.eye(maps.shape[-1], device=maps.device)
    return torch.stack([pay_0, pay_1], -1) - penalty * meets.unsqueeze(-1)
