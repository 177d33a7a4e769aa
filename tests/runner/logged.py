"""A small learner without acting data of its own: it learns from random play that it logged before."""

import os

import torch

from marlrun.envs.matrix_game import MatrixGame
from marlrun.streams import Stream


class LoggedPlay:
    """Learns the value of every joint action of `climb`, by momentum, from batches of logged play.

    A signal may come at update `signal_at`.
    """

    def __init__(
        self,
        spec,
        seeds,
        device,
        *,
        num_envs,
        lr=0.1,
        batch=16,
        logged=200,
        signal=15,
        signal_at=None,
    ):
        self.spec, self.lr, self.batch, self.logged = spec, lr, batch, logged
        self.signal, self.signal_at = signal, signal_at
        game = {"game": "climb", "payoff": None, "horizon": 1, "discount": 1.0}
        env = MatrixGame(seeds, device, num_envs=logged, **game)
        numbers = Stream(seeds, "logged", device).uniform(0, logged, spec.num_agents)
        self.num_actions = spec.num_actions[0]
        actions = (numbers * self.num_actions).long()
        env.reset()
        self.rewards = env.step(actions).reward.mean(-1)
        self.actions = (actions * torch.tensor([self.num_actions, 1])).sum(-1)
        self.values = Stream(seeds, "init", device).uniform(0, self.num_actions**2)
        self.momentum = torch.zeros_like(self.values)
        self.stream, self.updates = Stream(seeds, "batches", device), 0

    def policy(self, explore, seeds):
        return BestJointAction(self)

    def update(self):
        chosen = (self.stream.uniform(self.updates, self.batch) * self.logged).long()
        actions, rewards = self.actions.gather(1, chosen), self.rewards.gather(1, chosen)
        error = rewards - self.values.gather(1, actions)
        gradient = torch.zeros_like(self.values).scatter_add(1, actions, error) / self.batch
        self.momentum = 0.5 * self.momentum + gradient
        self.values = self.values + self.lr * self.momentum
        self.updates += 1
        if self.updates == self.signal_at:
            os.kill(os.getpid(), self.signal)
        played = torch.full((len(error),), float(self.logged))
        return {"loss/value": error.square().mean(-1), "data/env_steps": played}

    def state_dict(self):
        return {"values": self.values, "momentum": self.momentum, "updates": self.updates}

    def load_state_dict(self, state):
        self.values, self.momentum = state["values"], state["momentum"]
        self.updates = state["updates"]


class BestJointAction:
    """Each agent plays its part of the joint action of the highest value."""

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, step):
        best = self.learner.values.argmax(-1)
        each = torch.stack((best // self.learner.num_actions, best % self.learner.num_actions), -1)
        return each[:, None].expand(step.reward.shape).contiguous()

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Scalar(LoggedPlay):
    """Has a metric without a replica axis."""

    def update(self):
        return super().update() | {"loss/value": torch.tensor(0.5)}


def config(**changes):
    """Return a small job's configuration; `algo__lr=1` changes a nested key."""
    job = {
        "algo": {"_target_": "runner.logged.LoggedPlay", "lr": 0.1},
        "env": {
            "_target_": "marlrun.envs.matrix_game.MatrixGame",
            **{"num_envs": 3, "game": "climb", "payoff": None, "horizon": 1, "discount": 1.0},
        },
        "mode": "train",
        "name": None,
        "seed": 3,
        "replicas": 2,
        "env_steps": None,
        "updates": 120,
        "device": "cpu",
        "threads": 1,
        "plugins": ["runner"],
        "choices": {"algo": "logged_play", "env": "matrix_game"},
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
