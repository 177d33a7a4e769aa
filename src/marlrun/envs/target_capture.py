"""target_capture: all agents on their targets at once, on a torus (Omidshafiei et al. 2017)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.grids import HEADINGS, STAY, outcomes, points, positions, wrapped
from marlrun.envs.common.render import draw_grid
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step


class TargetCapture:
    """In each step the targets move, then the agents; +1 and the end if all agents are on target.

    Actions: north, east, south, west, wait. A move slips to each side of its heading with
    probability `slip`; waiting never slips. Agent i's target is the only one (`targets="one"`) or
    target i; cells may be shared. A target moves by `motion` = (dx, dy), not at all ("static"), or
    in one of the four directions at random ("random", each target by itself).

    Agent i sees its own (x, y), then every target's, each coordinate as (x - (size - 1) / 2) / size
    (so within +-0.5, and 0 is the middle). With probability `flicker`, drawn per agent and step and
    also for the first observation, all target coordinates it sees are 0.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        size: int,
        num_agents: int,
        targets: Literal["one", "each"],
        flicker: float,
        slip: float,
        motion: Literal["static", "random"] | Sequence[int],
        horizon: int,
        discount: float,
    ):
        """Make the game; conf/env/target_capture.yaml says what the parameters mean."""
        num_targets = 1 if targets == "one" else num_agents
        self.num_envs = num_envs
        self.obs_bounds = -(size - 1) / 2 / size, (size - 1) / 2 / size
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(2 + 2 * num_targets,) * num_agents,
            num_actions=(5,) * num_agents,
            horizon=horizon,
            discount=discount,
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        self._size, self._slip, self._flicker = size, slip, flicker
        # A move once around the torus changes nothing, so moves are taken modulo the size.
        drifts = [(dx % size, dy % size) for dx, dy in _drifts(motion)]
        self._num_drifts = len(drifts)
        self._next_cell = wrapped(size, [*_turned_moves(), *drifts], device)
        self._coordinates = (positions(size, device) - (size - 1) / 2) / size
        shape = (len(seeds), num_envs, num_agents)
        self._cells = torch.zeros(*shape, 1 + num_targets, dtype=torch.int64, device=device)
        self._positions, visible_targets = self._cells[..., 0], self._cells[..., 1:]
        self._goals = (
            visible_targets[..., 0]
            if targets == "one"
            else visible_targets.diagonal(dim1=-2, dim2=-1)
        )
        self._moves = torch.zeros_like(self._cells)
        self._agent_moves = self._moves[..., 0]
        self._ones, self._zero = torch.ones(shape, device=device), torch.zeros((), device=device)
        self._episodes = Episodes(self._observe(self._cells), horizon)
        self._widths = [num_agents, num_targets, num_agents]
        shape_of_numbers = (num_envs, sum(self._widths))
        self._chances = Blocks(
            Stream(seeds, "env", device), *shape_of_numbers, prepare=self._chance
        )
        self._starts = Blocks(
            Stream(seeds, "env/start", device), *shape_of_numbers, prepare=self._start
        )

    def reset(self) -> Step:
        """Begin an episode in every copy, at uniform positions, also if these are the targets."""
        self._episodes.tick()
        return self.restart(self._episodes.over)

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        shift, *visible = self._chances.row(self._episodes.tick())
        torch.add(self._cells, shift, out=self._moves)
        self._agent_moves.add_(action, alpha=3 * self._size**2)
        torch.take(self._next_cell, self._moves, out=self._cells)
        captured = (self._positions == self._goals).all(-1, keepdim=True)
        reward = torch.where(captured, self._ones, self._zero)
        obs = self._observe(self._cells, *visible)
        return self._episodes.after(obs, reward, captured.squeeze(-1))

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        if self._episodes.nothing_to_begin(step):
            return step
        cells, obs = self._starts.row(self._episodes.steps)
        step = self._episodes.begin(step, obs)
        torch.where(step.first[..., None, None], cells, self._cells, out=self._cells)
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
        """Return a picture or text of one copy: agents by number, targets as frames or letters."""
        cells, targets = self._positions[replica, copy], self._cells[replica, copy, 0, 1:]
        agents, targets = points(cells, self._size), points(targets, self._size)
        return draw_grid(mode, self._size, agents, targets, walls=False)

    def _observe(self, cells: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return what agents observe of `cells` [.., N, 1 + K]: [.., N, O]."""
        obs = embedding(cells, self._coordinates).flatten(-2)
        return obs if visible is None else obs * visible

    def _chance(self, numbers: Tensor) -> list[Tensor]:
        """Turn numbers [T, R, E, 2N + K] into the shifts of a step, and what is visible in it.

        A shift is the row in which the table of moves is read: for an agent that of its turn, to
        which the action is added, for a target that of its drift.
        """
        turn, drift, flicker = numbers.split_with_sizes(self._widths, -1)
        turn = outcomes(turn, (1 - 2 * self._slip, self._slip, self._slip))
        drift = 15 + (drift * self._num_drifts).long()
        return [_per_agent(turn, drift) * self._size**2, *self._visible(flicker)]

    def _start(self, numbers: Tensor) -> list[Tensor]:
        """Turn numbers [T, R, E, 2N + K] into first cells, and what agents see there."""
        agents, targets, flicker = numbers.split_with_sizes(self._widths, -1)
        cells = (_per_agent(agents, targets) * self._size**2).long()
        return [cells, self._observe(cells, *self._visible(flicker))]

    def _visible(self, flicker: Tensor) -> list[Tensor]:
        """Return [.., N, O], 0 for coordinates that an agent does not see; [] if it sees all."""
        if self._flicker == 0:
            return []
        targets = (flicker >= self._flicker).float().unsqueeze(-1)
        always = torch.ones_like(targets)
        targets = targets.expand(*flicker.shape, self.spec.obs_sizes[0] - 2)
        return [torch.cat((always, always, targets), -1)]


def _per_agent(agents: Tensor, targets: Tensor) -> Tensor:
    """Return [.., N, 1 + K]: what belongs to each agent, then to all targets."""
    targets = targets.unsqueeze(-2).expand(*agents.shape, -1)
    return torch.cat((agents.unsqueeze(-1), targets), -1)


def _turned_moves() -> list[tuple[int, int]]:
    """Return the move of row 3 * action + turn: ahead, to the left, to the right."""
    turned = [HEADINGS[(heading + turn) % 4] for heading in range(4) for turn in (0, -1, 1)]
    return [*turned, STAY, STAY, STAY]


def _drifts(motion: str | Sequence[int]) -> Sequence[Sequence[int]]:
    """Return the moves (dx, dy) among which a target chooses."""
    moves_by_name = {"static": (STAY,), "random": HEADINGS}
    return moves_by_name[motion] if isinstance(motion, str) else (motion,)
