"""A foreign game that is right, and what the writers of such games do wrong, one mistake a class."""

import random

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv


class Right(ParallelEnv):
    """Three agents draw lots, which they see; from the third step on they may leave by action 2.

    Who stays is paid its lot. The clock ends the game after eight steps.
    """

    metadata = {"name": "right_v0"}

    def __init__(self):
        self.possible_agents, self.agents = ["ann", "bob", "cat"], []
        mask = Box(0, 1, (3,), np.int8)
        self.seen = Dict({"observation": Box(0, 1, (2,), np.float32), "action_mask": mask})
        self.actions = Discrete(3)
        self.random = None

    def observation_space(self, agent):
        return self.seen

    def action_space(self, agent):
        return self.actions

    def reset(self, seed=None, options=None):
        self.seed(seed)
        self.agents, self.time = self.possible_agents[:], 0
        return self.observe(), {agent: {} for agent in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.time += 1
        seen = self.observe()
        rewards = {agent: self.lots[agent] for agent in self.agents}
        left = {agent: actions[agent] == 2 for agent in self.agents}
        over = {agent: self.time == 8 and not left[agent] for agent in self.agents}
        infos = {agent: {} for agent in self.agents}
        self.agents = [agent for agent in self.agents if not left[agent] and not over[agent]]
        return seen, rewards, left, over, infos

    def seed(self, seed):
        self.random = np.random.default_rng(seed)

    def draw(self):
        return float(self.random.random())

    def observe(self):
        self.lots = {agent: self.draw() for agent in self.agents}
        return {agent: self.view(agent) for agent in self.agents}

    def view(self, agent):
        return {"observation": self.numbers(agent), "action_mask": self.mask()}

    def numbers(self, agent):
        return np.array([self.lots[agent], self.time / 8], np.float32)

    def mask(self):
        return np.array([1, 1, self.time >= 2], np.int8)


class Unpaid(Right):
    """Forgets to pay bob."""

    def step(self, actions):
        seen, rewards, *rest = super().step(actions)
        rewards.pop("bob", None)
        return seen, rewards, *rest


class PaysGhosts(Right):
    """Pays those that have left."""

    def step(self, actions):
        seen, rewards, *rest = super().step(actions)
        return seen, dict.fromkeys(self.possible_agents, 0.0) | rewards, *rest


class PaysLists(Right):
    """Pays a list of one number."""

    def step(self, actions):
        seen, rewards, *rest = super().step(actions)
        return seen, {agent: [reward] for agent, reward in rewards.items()}, *rest


class Returns(Right):
    """Brings all back for the sixth step."""

    def step(self, actions):
        answer = super().step(actions)
        if self.time == 6:
            self.agents = self.possible_agents[:]
            missing = set(self.agents) - set(answer[0])
            answer[0].update({agent: answer[0][min(answer[0])] for agent in missing})
        return answer


class Stays(Right):
    """Says that an agent has terminated and keeps it."""

    def step(self, actions):
        agents = self.agents
        answer = super().step(actions)
        self.agents = agents if self.time < 8 else self.agents
        return answer


class Vanishes(Right):
    """Loses an agent that has not ended."""

    def step(self, actions):
        answer = super().step(actions)
        if self.time == 1:
            self.agents.remove("cat")
        return answer


class Numbers(Right):
    """Says by numbers who has ended."""

    def step(self, actions):
        seen, rewards, left, *rest = super().step(actions)
        return seen, rewards, {agent: int(flag) for agent, flag in left.items()}, *rest


class OldApi(Right):
    """Returns four values, as games did once."""

    def step(self, actions):
        seen, rewards, left, _, infos = super().step(actions)
        return seen, rewards, left, infos


class Fails(Right):
    """Has a slip of the pen in the second episode."""

    def seed(self, seed):
        if self.random is not None:
            raise KeyError("lvl")
        super().seed(seed)


class OtherShape(Right):
    def numbers(self, agent):
        return super().numbers(agent)[:, None]


class OtherDtype(Right):
    def numbers(self, agent):
        return super().numbers(agent).astype(np.float64)


class TooLarge(Right):
    """Counts the time in other units than its space."""

    def numbers(self, agent):
        return super().numbers(agent) * np.float32([1, 2])


class NotANumber(Right):
    def numbers(self, agent):
        return super().numbers(agent) + np.float32(np.nan if self.time == 3 else 0)


class Blind(Right):
    """Draws only when an episode begins."""

    def numbers(self, agent):
        self.picture = super().numbers("ann") if self.time == 0 else self.picture
        return self.picture


class PaysInfinity(Right):
    def step(self, actions):
        seen, rewards, *rest = super().step(actions)
        return seen, rewards | ({"ann": np.inf} if "ann" in rewards else {}), *rest


class Stuck(Right):
    """Allows nothing in the fifth step."""

    def mask(self):
        return super().mask() * np.int8(self.time != 4)


class OtherMask(Right):
    """Says nothing of the third action."""

    def mask(self):
        return super().mask()[:2]


class ChangesActions(Right):
    """Counts actions from another number in the dictionary that it was given."""

    def step(self, actions):
        answer = super().step(actions)
        for agent in actions:
            actions[agent] -= 1
        return answer


class NewSpaces(Right):
    def action_space(self, agent):
        return Discrete(3)


class Unseeded(Right):
    """Draws from what the system calls random."""

    def seed(self, seed):
        self.random = np.random.default_rng()


class SeededOnce(Right):
    """Is seeded when it is built and goes on from there."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(0)

    def seed(self, seed):
        pass


class DrawsFromNumpy(Right):
    def draw(self):
        return float(np.random.random())  # noqa: NPY002


class SeedsPython(Right):
    """Is reproducible, by seeding what belongs to all."""

    def seed(self, seed):
        random.seed(seed)

    def draw(self):
        return random.random()


class ReadsTorch(Right):
    """Takes a seed from a generator of all, without drawing from it."""

    def seed(self, seed):
        self.random = np.random.default_rng([seed, torch.initial_seed()])


class Shared(Right):
    """Has one generator for all its copies, which every reset seeds."""

    def seed(self, seed):
        Shared.generator = np.random.default_rng(seed)

    def draw(self):
        return float(Shared.generator.random())
