"""The games as one writes them first: one copy, plain Python. What marlrun's are timed against.

Only what the benchmarks play: target_capture with one target that drifts and no flicker,
meeting_grid that observes positions, and the climbing game.
"""

import random
from typing import NamedTuple

import numpy as np

HEADINGS = ((0, 1), (1, 0), (0, -1), (-1, 0))
CLIMB = ((11, -30, 0), (-30, 7, 6), (0, 0, 5))


class Result(NamedTuple):
    """What a joint action leads to: obs float32 [N, O] and one reward for all."""

    obs: np.ndarray
    reward: float
    terminated: bool
    truncated: bool


class TargetCapture:
    """See `marlrun.envs.target_capture`."""

    def __init__(self, size=6, num_agents=2, slip=0.05, motion=(1, 0), horizon=60, seed=0):
        self.size, self.num_agents, self.slip = size, num_agents, slip
        self.motion, self.horizon = motion, horizon
        self.random = random.Random(seed)

    def reset(self):
        """Begin an episode; return obs [N, 4]."""
        self.time = 0
        self.target = self._anywhere()
        self.agents = [self._anywhere() for _ in range(self.num_agents)]
        return self._observe()

    def step(self, actions):
        """Play a list of N actions; return a Result."""
        self.time += 1
        self.target = self._moved(self.target, self.motion)
        self.agents = [
            self._moved(agent, self._slipped(action))
            for agent, action in zip(self.agents, actions, strict=True)
        ]
        captured = all(agent == self.target for agent in self.agents)
        expired = self.time >= self.horizon and not captured
        return Result(self._observe(), float(captured), captured, expired)

    def _anywhere(self):
        return self.random.randrange(self.size), self.random.randrange(self.size)

    def _moved(self, cell, move):
        return (cell[0] + move[0]) % self.size, (cell[1] + move[1]) % self.size

    def _slipped(self, action):
        if action == 4:
            return (0, 0)
        chance = self.random.random()
        turn = -1 if chance < self.slip else 1 if chance < 2 * self.slip else 0
        return HEADINGS[(action + turn) % 4]

    def _observe(self):
        obs = np.array([agent + self.target for agent in self.agents], dtype=np.float32)
        return (obs - (self.size - 1) / 2) / self.size


class MeetingGrid:
    """See `marlrun.envs.meeting_grid`; two agents."""

    def __init__(self, size=3, success=0.6, horizon=20, seed=0):
        self.size, self.success, self.horizon = size, success, horizon
        self.random = random.Random(seed)

    def reset(self):
        """Begin an episode; return obs [2, 2 * size]."""
        self.time = 0
        self.agents = [(0, 0), (self.size - 1, self.size - 1)]
        return self._observe()

    def step(self, actions):
        """Play a list of two actions; return a Result."""
        self.time += 1
        self.agents = [
            self._moved(agent, action) for agent, action in zip(self.agents, actions, strict=True)
        ]
        met = self.agents[0] == self.agents[1]
        return Result(self._observe(), float(met), False, self.time >= self.horizon)

    def _moved(self, cell, action):
        if action < 4 and self.random.random() >= self.success:
            action = self.random.choice([other for other in range(5) if other != action])
        dx, dy = (*HEADINGS, (0, 0))[action]
        last = self.size - 1
        return min(max(cell[0] + dx, 0), last), min(max(cell[1] + dy, 0), last)

    def _observe(self):
        obs = np.zeros((2, 2 * self.size), dtype=np.float32)
        for row, (x, y) in zip(obs, self.agents, strict=True):
            row[x] = row[self.size + y] = 1
        return obs


class MatrixGame:
    """The climbing game, one shot; see `marlrun.envs.matrix_game`."""

    def reset(self):
        """Begin an episode; return obs [2, 1]."""
        return np.ones((2, 1), dtype=np.float32)

    def step(self, actions):
        """Play a list of two actions; return a Result."""
        return Result(self.reset(), float(CLIMB[actions[0]][actions[1]]), True, False)
