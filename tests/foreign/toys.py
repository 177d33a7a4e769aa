"""Small foreign games: one that does as it is told, and some that no learner can play."""

import os
import signal
import sys
import time
import warnings

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from pettingzoo import ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

NAMES = ("ann", "bob", "cat")


class Toy(ParallelEnv):
    """Agent i ends as `ends[i]` says: [step, "terminated"] or [step, "truncated"].

    Agents observe a random number of the episode, the time, their last action and their place, as
    [2, 2]; all are paid the number of their action, plus a tenth of their place. The random number
    is drawn anew in every step.
    """

    def __init__(self, ends=None, render_mode=None):
        self.ends = ends or [[9, "terminated"]] * 3
        self.metadata = {"name": "toy_v0", "render_modes": ["rgb_array"]}
        self.render_mode = render_mode
        self.possible_agents = list(NAMES[: len(self.ends)])
        self.agents = []

    def observation_space(self, agent):
        return Box(-np.inf, np.inf, (2, 2), np.float64)

    def action_space(self, agent):
        return Discrete(3)

    def reset(self, seed=None, options=None):
        self.random = np.random.default_rng(seed)
        self.time, self.agents = 0, self.possible_agents[:]
        self.last = dict.fromkeys(self.agents, 0)
        return self.observe(), self.infos()

    def step(self, actions):
        assert set(actions) == set(self.agents), actions
        self.time, self.last = self.time + 1, actions
        over = {
            agent: kind if self.time == when else None
            for agent, (when, kind) in zip(self.possible_agents, self.ends, strict=True)
            if agent in self.agents
        }
        terminated = {agent: kind == "terminated" for agent, kind in over.items()}
        truncated = {agent: kind == "truncated" for agent, kind in over.items()}
        seen = self.observe()
        rewards = {agent: self.reward(agent, action) for agent, action in actions.items()}
        self.agents = [agent for agent in self.agents if over[agent] is None]
        return seen, rewards, terminated, truncated, {agent: {} for agent in over} | self.infos()

    def reward(self, agent, action):
        return float(action) + self.place(agent) / 10

    def observe(self):
        number = self.random.random()
        return {agent: self.view(agent, number) for agent in self.agents}

    def view(self, agent, number):
        return np.array([[number, self.time], [self.last[agent], self.place(agent)]])

    def infos(self):
        return {agent: {} for agent in self.agents}

    def place(self, agent):
        return self.possible_agents.index(agent)

    def state(self):
        return np.array([self.time, len(self.agents)])

    def render(self):
        assert self.render_mode == "rgb_array"
        return np.full((4, 6, 3), self.time, np.uint8)


FIVES = [Discrete(number, start=5) for number in (1, 2, 3)]
ONES = [Discrete(number, start=1) for number in (2, 3, 4)]


class Unequal(Toy):
    """Agent i observes a number from 5 to 5 + i, and has the actions 1 to i + 2."""

    def observation_space(self, agent):
        return FIVES[self.place(agent)]

    def action_space(self, agent):
        return ONES[self.place(agent)]

    def view(self, agent, number):
        return 5 + min(self.time, self.place(agent))


class Masked(Toy):
    """All but the action time modulo 3 are forbidden; the mask stands beside the observation."""

    def observation_space(self, agent):
        mask = Box(0, 1, (3,), np.int8)
        return Dict({"observation": super().observation_space(agent), "action_mask": mask})

    def view(self, agent, number):
        return {"observation": super().view(agent, number), "action_mask": self.mask()}

    def mask(self):
        return np.eye(3, dtype=np.int8)[self.time % 3]


class MaskedByInfos(Toy):
    """As `Masked`, but the mask stands in the infos."""

    def infos(self):
        return {agent: {"action_mask": np.eye(3)[self.time % 3]} for agent in self.agents}


class NothingAllowed(Masked):
    def mask(self):
        return np.full(3, self.time < 2, np.int8)


class Loud(Toy):
    """Prints, warns, and takes and seeds what is global."""

    def step(self, actions):
        sys.stdout.write("a foreign game prints\n")
        if "torch" not in sys.modules:  # in a process of its own
            os.write(1, b"also from C\n")
        warnings.warn("a foreign game warns", DeprecationWarning, stacklevel=1)
        np.random.seed(0)  # noqa: NPY002
        return super().step(actions)


class Crash(Toy):
    """Fails at a step, by an exception or by a signal, unless the file `spare` says not to."""

    def __init__(self, at=5, by="exception", **kwargs):
        super().__init__(**kwargs)
        self.at, self.by, self.steps = at, by, 0

    def step(self, actions):
        self.steps += 1
        if self.steps == self.at:
            if self.by == "signal":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("the first line\nthe last line")
        return super().step(actions)


class Hangs(Toy):
    def step(self, actions):
        time.sleep(600)


class Says(Toy):
    """Answers a call as `answers` says, by the call's name."""

    answers = {}

    def reset(self, seed=None, options=None):
        return self.answers.get("reset", super().reset(seed))

    def step(self, actions):
        return self.answers.get("step", super().step(actions))


class OldReset(Says):
    answers = {"reset": {"ann": 0, "bob": 0}}


class OldStep(Says):
    answers = {"step": ({}, {}, {}, {})}


class NoStep(Says):
    answers = {"step": None}


class ListOfRewards(Says):
    answers = {"step": ({}, [1.0], {}, {}, {})}


class PaidNan(Toy):
    def reward(self, agent, action):
        return None if agent == "bob" else 0.0


class SeesTooMuch(Toy):
    def view(self, agent, number):
        return np.array([[self.time * 1e300, 0], [0, 0]])


class Named(Toy):
    """Has other names."""

    def __init__(self, names=()):
        super().__init__()
        self.possible_agents = list(names)


class Blind(Toy):
    def observation_space(self, agent):
        return Box(0, 1, (0,))


class Returning(Toy):
    def step(self, actions):
        answer = super().step(actions)
        if self.time == 3:
            self.agents = self.possible_agents[:]
        return answer


class Unpaid(Toy):
    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        del rewards["bob"]
        return observations, rewards, *rest


class OtherSize(Toy):
    def view(self, agent, number):
        return np.zeros(5)


class Continuous(Toy):
    def action_space(self, agent):
        return Box(-1, 1, (2,))


class ManyDiscrete(Toy):
    def observation_space(self, agent):
        return MultiDiscrete([2, 2])


class DrawsNothing(Toy):
    def render(self):
        return None


class Undrawn(Toy):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.metadata["render_modes"]


class FailsAtReset(Toy):
    def reset(self, seed=None, options=None):
        raise KeyError("no level")


class Late(Toy):
    def reset(self, seed=None, options=None):
        answer = super().reset(seed)
        self.agents.remove("bob")
        return answer


def in_turn(**kwargs):
    """An AEC game whose agents act at once."""
    return parallel_to_aec(Toy(**kwargs))


def turn_based():
    game = in_turn()
    game.metadata = game.metadata | {"is_parallelizable": False}
    return game


def no_game():
    return {"a": "dict"}


def _hidden():
    return Toy()
