"""A small game and a small learner with every kind of state a run may have, and accidents."""

import os
import signal
from dataclasses import replace
from typing import ClassVar

import torch

from marlrun.streams import Stream
from marlrun.types import Spec, Step


class Walk:
    """Two agents; an episode ends when the first stands on `goal`, or by the clock.

    Actions 0, 1, 2 move by 0, 1, 2; reward is the agent's move. The starting place is random.
    """

    def __init__(
        self, seeds, device, *, num_envs, goal=7, horizon=6, discount=0.5, starts=4, ends=True
    ):
        if goal < 1:
            raise ValueError(f"env.goal={goal}: expected at least 1")
        self.num_envs, self.goal, self.starts, self.ends = num_envs, goal, starts, ends
        self.spec = Spec(2, ("left", "right"), (2, 2), (3, 3), horizon, discount, pays_for="after")
        self.stream, self.ticks = Stream(seeds, "env", device), 0
        self.places = torch.zeros(len(seeds), num_envs, 2, dtype=torch.int64, device=device)
        self.clock = torch.zeros(len(seeds), num_envs, dtype=torch.int64, device=device)

    def reset(self):
        first = torch.ones_like(self.clock, dtype=torch.bool)
        return self._begin(first)

    def step(self, action):
        self.ticks += 1
        self.places = self.places + action
        self.clock = self.clock + 1
        terminated = (self.places[..., 0] >= self.goal) & self.ends
        truncated = (self.clock >= self.spec.horizon) & ~terminated
        no = torch.zeros_like(terminated)
        return Step(no, self._obs(), action.float(), terminated, truncated)

    def restart(self, step):
        return self._begin(step.done)

    def _begin(self, first):
        numbers = self.stream.uniform(self.ticks, self.num_envs, 2)
        fresh = (numbers * self.starts).long()
        self.places = torch.where(first[..., None], fresh, self.places)
        self.clock = self.clock.masked_fill(first, 0)
        no = torch.zeros_like(first)
        reward = torch.zeros(*self.places.shape)
        return Step(first, self._obs(), reward, no, no)

    def _obs(self):
        clock = self.clock[..., None].expand_as(self.places)
        return torch.stack((self.places, clock), -1).float()

    def render(self, mode, replica=0, copy=0):
        assert mode == "rgb_array"
        frame = torch.zeros(4, 40, 3, dtype=torch.uint8)
        for agent, place in enumerate(self.places[replica, copy]):
            frame[:, int(place), agent] = 255
        return frame.numpy()

    def state_dict(self):
        return {"places": self.places, "clock": self.clock, "ticks": self.ticks}

    def load_state_dict(self, state):
        self.places, self.clock, self.ticks = state["places"], state["clock"], state["ticks"]


class Blind(Walk):
    """Cannot draw itself."""

    render = None


class Masked(Walk):
    """Says which actions may be taken, if it is asked to: no 2 on odd places."""

    def __init__(self, seeds, device, *, masked=True, **keys):
        super().__init__(seeds, device, **keys)
        self.masked = masked
        self.spec = replace(self.spec, has_action_mask=masked)

    def step(self, action):
        return super().step(action)._replace(action_mask=self._mask())

    def _begin(self, first):
        return super()._begin(first)._replace(action_mask=self._mask())

    def _mask(self):
        if not self.masked:
            return None
        mask = torch.ones(*self.places.shape, 3, dtype=torch.bool)
        mask[..., 2] = self.places % 2 == 0
        return mask


class Few(Walk):
    """Cannot have many copies."""

    max_evaluation_copies = 3


class Foreign(Walk):
    """A game whose state cannot be taken out of it, only how many steps it has played."""

    resumable = False
    paid = None
    """What each step pays each agent, None = as in `Walk`."""
    resets: ClassVar[list[int]] = []
    """Steps that had been played at each reset, of all objects."""

    def reset(self):
        self.resets.append(self.ticks)
        return super().reset()

    def step(self, action):
        after = super().step(action)
        return after if self.paid is None else after._replace(reward=after.reward * 0 + self.paid)

    def state_dict(self):
        return {"ticks": self.ticks}

    def load_state_dict(self, state):
        self.ticks = state["ticks"]


class Bandit:
    """Learns the mean reward of every action by momentum, and remembers the last rewards.

    Accidents: a signal or an error in `observe`, NaN in metrics or parameters.
    """

    def __init__(
        self,
        spec,
        seeds,
        device,
        *,
        num_envs,
        lr=0.01,
        stop_at=None,
        fail_at=None,
        nan_metric_at=None,
        nan_weight_at=None,
    ):
        self.spec, self.seeds, self.device, self.num_envs = spec, seeds, device, num_envs
        self.stop_at, self.fail_at = stop_at, fail_at
        self.nan_metric_at, self.nan_weight_at = nan_metric_at, nan_weight_at
        init = Stream(seeds, "init", device).uniform(0, spec.num_agents, 3)
        self.values, self.momentum, self.lr = init, torch.zeros_like(init), float(lr)
        self.memory = torch.zeros(5, len(seeds), num_envs, spec.num_agents, device=device)
        self.ticks = 0

    def policy(self, explore, seeds):
        return BanditPolicy(self, explore)

    def observe(self, before, action, after):
        self.memory[self.ticks % 5] = after.reward
        self.last = action, after.reward
        self.ticks += 1
        if self.ticks == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.ticks == self.fail_at:
            raise RuntimeError("the roof\nfell in")

    def update(self):
        if self.ticks % 3:
            return {}
        action, reward = self.last
        action, reward = action.transpose(1, 2), reward.transpose(1, 2)
        error = self.values.gather(-1, action) - reward
        loss = error.square().mean(-1)
        gradient = torch.zeros_like(self.values).scatter_add(-1, action, error)
        self.momentum = 0.9 * self.momentum + gradient
        self.values = self.values - self.lr * self.momentum
        if self.ticks == self.nan_metric_at:
            loss[1, 0] = torch.nan
        if self.ticks == self.nan_weight_at:
            self.values[1, 1, 2] = torch.nan
        return {"loss/value": loss, "explore/ticks": torch.full((len(loss),), float(self.ticks))}

    def state_dict(self):
        return {
            "values": self.values,
            "momentum": self.momentum,
            "memory": self.memory,
            "ticks": self.ticks,
        }

    def load_state_dict(self, state):
        self.values, self.momentum = state["values"], state["momentum"]
        self.memory.copy_(state["memory"])
        self.ticks = state["ticks"]


class BanditPolicy:
    """Greedy on value plus a slowly forgotten sum of what it saw; random by half if exploring."""

    def __init__(self, learner, explore):
        self.learner, self.explore, self.seen, self.counter = learner, explore, None, 0
        self.stream = Stream(learner.seeds, "explore", learner.device)

    def __call__(self, step):
        if self.seen is None:
            self.seen = torch.zeros_like(step.reward)
        self.seen = torch.where(step.first[..., None], 0.0, self.seen * 0.9) + step.obs[..., 0]
        greedy = (self.learner.values.argmax(-1)[:, None] + self.seen.long()) % 3
        if not self.explore:
            return greedy
        numbers = self.stream.uniform(self.counter, 2, *greedy.shape[1:])
        self.counter += 1
        return torch.where(numbers[:, 0] < 0.5, (numbers[:, 1] * 3).long(), greedy)

    def value(self, step):
        best = self.learner.values.amax(-1)[:, None]
        return best.expand_as(step.reward)

    def state_dict(self):
        return {"seen": self.seen, "counter": self.counter}

    def load_state_dict(self, state):
        self.seen, self.counter = state["seen"], state["counter"]


def config(**changes):
    """Return a small job's configuration; `algo__lr=1` changes a nested key."""
    job = {
        "algo": {"_target_": "runner.fakes.Bandit", "lr": 0.01},
        "env": {"_target_": "runner.fakes.Walk", "num_envs": 2, "goal": 7},
        "mode": "train",
        "name": None,
        "seed": 3,
        "replicas": 2,
        "env_steps": 120,
        "device": "cpu",
        "threads": 1,
        "plugins": ["runner"],
        "eval": {"every": 40, "episodes": 4, "final_episodes": 6},
        "checkpoint": {"every": 30, "keep": 1},
        "log": {"every": 20},
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        node = job
        for parent in parents:
            node = node[parent]
        node[key] = value
    return job


class Steady:
    """Learns nothing: agent i always plays `plays[i]`, and expects `expects`."""

    def __init__(self, spec, seeds, device, *, num_envs, plays=(1, 2), expects=3.0):
        self.plays, self.expects = torch.tensor(plays), float(expects)

    def policy(self, explore, seeds):
        return SteadyPolicy(self)

    def observe(self, before, action, after):
        pass

    def update(self):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class SteadyPolicy:
    """Has no memory."""

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, step):
        return self.learner.plays.expand(step.reward.shape)

    def value(self, step):
        return torch.full(step.reward.shape, self.learner.expects)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Recoverer(Bandit):
    """Recovers a reward: what it has learned of the action that is taken."""

    def reward(self, before, action, after):
        return self.values.gather(-1, action.transpose(1, 2)).transpose(1, 2)

    def recovered_reward(self):
        return {"values": self.values}
