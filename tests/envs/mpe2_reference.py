"""mpe2's own worlds, written to and stepped beside ours, for tests."""

from importlib import import_module

import numpy as np
import torch

MODULES = {
    "spread": "simple_spread_v3",
    "speaker_listener": "simple_speaker_listener_v4",
    "push": "simple_push_v3",
    "tag": "simple_tag_v3",
    "adversary": "simple_adversary_v3",
}


class Reference:
    """One environment of mpe2, which can be given the state of a copy of ours."""

    def __init__(self, name, **kwargs):
        self.parallel = import_module(f"mpe2.{MODULES[name]}").parallel_env(**kwargs)
        self.parallel.reset(seed=0)
        inner = self.parallel.unwrapped
        self.world, self.scenario = inner.world, inner.scenario
        self.names = self.parallel.possible_agents

    def begin(self):
        self.parallel.reset(seed=0)

    def write(self, world, copy):
        """Take over positions, velocities and the goal of a copy of our world."""
        entities = [*self.world.agents, *self.world.landmarks]
        for number, entity in enumerate(entities):
            entity.state.p_pos = world.position[:, number, copy].double().numpy().copy()
        for row, number in enumerate(world.rows.movers):
            velocity = world.velocity[:, row, copy].double().numpy().copy()
            self.world.agents[number].state.p_vel = velocity
        if len(world.marks):
            self._set_goal(int(world.marks[:, copy].argmax()))

    def _set_goal(self, index):
        goal = self.world.landmarks[index]
        for agent in self.world.agents:
            if hasattr(agent, "_goal_b"):
                agent.goal_a, agent.goal_b = None, None
            elif hasattr(agent, "_goal_a"):
                agent.goal_a = goal
        first = self.world.agents[0]
        if hasattr(first, "_goal_b"):
            first.goal_a, first.goal_b = self.world.agents[1], goal
        elif hasattr(goal, "index"):
            colour = np.full(3, 0.25)
            colour[index + 1] += 0.5
            self.world.agents[1].color = colour

    def observe(self, size):
        """Return what all agents observe, float64 [N, size], padded with zeros."""
        rows = [self.scenario.observation(agent, self.world) for agent in self.world.agents]
        padded = [np.pad(row, (0, size - len(row))) for row in rows]
        return torch.from_numpy(np.stack(padded))

    def step(self, action):
        """Play an action [N]; return rewards [N], and whether the game has terminated, was truncated."""
        chosen = {name: int(number) for name, number in zip(self.names, action, strict=True)}
        _, rewards, terminated, truncated, _ = self.parallel.step(chosen)
        reward = torch.tensor([rewards[name] for name in self.names], dtype=torch.float64)
        return reward, any(terminated.values()), any(truncated.values())
