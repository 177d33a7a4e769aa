"""meeting_grid: meet blindly on a small grid (Bernstein et al. 2005; Amato et al. 2009)."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, one_hot

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.grids import HEADINGS, STAY, outcomes, points, positions, walled
from marlrun.envs.common.render import draw_grid
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

MOVES = (*HEADINGS, STAY)


class MeetingGrid:
    """+1 for all in every step after which all agents share a cell; ends only by the clock.

    Actions: north, east, south, west, stay. A move succeeds with probability `success`; else the
    agent makes the move of one of the other four actions, equally likely. Staying never fails, and
    walls keep an agent in place. Agents start in the south-west, north-east,
    south-east and north-west corner; a fifth agent starts in the first corner again, and so on.

    An agent sees nothing of the others. With observation "position" it sees its column and its row,
    each one-hot (2 * size features); with "walls", whether there is a wall to its north, east,
    south and west (4 features).
    """

    obs_bounds = 0.0, 1.0

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        size: int,
        num_agents: int,
        success: float,
        observation: Literal["position", "walls"],
        horizon: int,
        discount: float,
    ):
        """Make the game; conf/env/meeting_grid.yaml says what the parameters mean."""
        self._size, self._success = size, success
        self._view = _positions(size, device) if observation == "position" else _walls(size, device)
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(self._view.shape[-1],) * num_agents,
            num_actions=(len(MOVES),) * num_agents,
            horizon=horizon,
            discount=discount,
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        corners = torch.tensor([0, size**2 - 1, size - 1, size**2 - size], device=device)
        self._start = corners[torch.arange(num_agents, device=device) % 4]
        self._cells = self._start.repeat(len(seeds), num_envs, 1)
        self._moves = torch.zeros_like(self._cells)
        self._next_cell = walled(size, _possible_moves(), device)
        self._ones = torch.ones(self._cells.shape, device=device)
        self._zero = torch.zeros((), device=device)
        self._start_obs = self._observe()
        self._episodes = Episodes(self._start_obs, horizon)
        self._random = Blocks(
            Stream(seeds, "env", device), num_envs, num_agents, prepare=self._prepare
        )

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        self._episodes.tick()
        return self.restart(self._episodes.over)

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        torch.add(self._cells, self._random(self._episodes.tick()), out=self._moves)
        self._moves.add_(action, alpha=len(MOVES) * self._size**2)
        torch.take(self._next_cell, self._moves, out=self._cells)
        meets = (self._cells == self._cells[..., :1]).all(-1, keepdim=True)
        return self._episodes.after_endless(
            self._observe(), torch.where(meets, self._ones, self._zero)
        )

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        if self._episodes.nothing_to_begin(step):
            return step
        step = self._episodes.begin(step, self._start_obs)
        torch.where(step.first.unsqueeze(-1), self._start, self._cells, out=self._cells)
        return step

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
        """Return what agents observe: [R, E, N, O]."""
        return embedding(self._cells, self._view)

    def _prepare(self, numbers: Tensor) -> list[Tensor]:
        """Turn numbers into shifts, which say at which outcome the table of moves is read."""
        chances = (self._success, *[(1 - self._success) / 4] * 4)
        return [outcomes(numbers, chances) * self._size**2]


def _possible_moves() -> list[tuple[int, int]]:
    """Return the move of row 5 * action + outcome: the intended move, then the other four."""
    slipped = [[move, *(outcome for outcome in MOVES if outcome != move)] for move in HEADINGS]
    return [move for moves in (*slipped, [STAY] * len(MOVES)) for move in moves]


def _positions(size: int, device: torch.device) -> Tensor:
    """Return each cell's column and row, one-hot: [size**2, 2 * size]."""
    return one_hot(positions(size, device), size).flatten(1).float()


def _walls(size: int, device: torch.device) -> Tensor:
    """Return whether a wall stands to each cell's north, east, south, west: [size**2, 4]."""
    cells = torch.arange(size**2, device=device)
    return (walled(size, HEADINGS, device) == cells).T.float().contiguous()
