"""A game and two algorithms of a package outside marlrun, small and right."""

from types import SimpleNamespace

import torch

from marlrun.streams import Stream
from marlrun.types import Spec, Step


class Corridor:
    """Two agents walk a corridor; each is paid at its end, and the game is over when both are there.

    Actions: 0 goes back, 1 goes on; a tenth of the moves fails. Agents see their cell and the other's.
    """

    def __init__(self, seeds, device, *, num_envs, length, horizon):
        if length < 3:
            raise ValueError(f"env.length={length}: expected at least 3")
        self.num_envs, self.end, self.time = num_envs, length - 1, 0
        self.obs_bounds = 0.0, torch.tensor([length - 1.0, length - 1.0])
        self.spec = Spec(2, ("left", "right"), (2, 2), (2, 2), horizon, 1.0)
        self.stream = Stream(seeds, "env", device)
        self.cells = torch.zeros(len(seeds), num_envs, 2, dtype=torch.int64, device=device)
        self.age = torch.zeros(len(seeds), num_envs, dtype=torch.int64, device=device)

    def reset(self):
        return self.begin(torch.ones_like(self.age, dtype=torch.bool))

    def step(self, action):
        self.time += 1
        moves = (2 * action - 1) * (self.numbers() >= 0.1)
        cells = torch.where(self.cells == self.end, self.end, self.cells + moves).clamp(0, self.end)
        reward = ((cells == self.end) & (self.cells != self.end)).float()
        self.cells, self.age = cells, self.age + 1
        terminated = (cells == self.end).all(-1)
        truncated = (self.age >= self.spec.horizon) & ~terminated
        return Step(torch.zeros_like(truncated), self.seen(), reward, terminated, truncated)

    def restart(self, step):
        begun = self.begin(step.done)
        return begun._replace(reward=step.reward.masked_fill(step.done[..., None], 0.0))

    def begin(self, first):
        starts = (self.numbers(1) * 2).long()
        self.cells = torch.where(first[..., None], starts, self.cells)
        self.age = self.age.masked_fill(first, 0)
        no = torch.zeros_like(first)
        return Step(first, self.seen(), torch.zeros(self.cells.shape), no, no)

    def numbers(self, purpose=0):
        return self.stream.uniform(2 * self.time + purpose, self.num_envs, 2)

    def seen(self):
        return torch.stack((self.cells, self.cells.flip(-1)), -1).float()

    def state_dict(self):
        return {"cells": self.cells, "age": self.age, "time": self.time}

    def load_state_dict(self, state):
        self.cells, self.age, self.time = state["cells"], state["age"], state["time"]


class Uneven(Corridor):
    """The right agent sees nothing of the other, and has a third action, which goes on as well."""

    def __init__(self, seeds, device, *, num_envs, length, horizon):
        super().__init__(seeds, device, num_envs=num_envs, length=length, horizon=horizon)
        self.spec = Spec(2, ("left", "right"), (2, 1), (2, 3), horizon, 1.0)
        # The bounds say nothing of the padding, where there are zeros.
        self.obs_bounds = 0.0, torch.tensor([[length - 1.0] * 2, [length - 1.0, -1.0]])

    def step(self, action):
        return super().step(action.clamp(max=1))

    def seen(self):
        obs = super().seen()
        obs[..., 1, 1] = 0.0
        return obs


class Tabular:
    """Q-learning of every agent on its own cell."""

    def __init__(self, spec, seeds, device, *, num_envs, lr):
        self.spec, self.seeds, self.device, self.lr = spec, seeds, device, lr
        agents, actions = spec.num_agents, max(spec.num_actions)
        self.table = torch.zeros(len(seeds), agents, 10, actions, device=device)

    def policy(self, explore, seeds):
        return TabularPolicy(self, explore, seeds)

    def cells(self, step):
        return step.obs[..., 0].long()

    def values(self, cells):
        """Return Q [R, E, N, A] in cells [R, E, N]."""
        rows = torch.arange(len(self.table))[:, None, None]
        values = self.table[rows, torch.arange(self.spec.num_agents), cells]
        counts = torch.tensor(self.spec.num_actions)[:, None]
        return values.masked_fill(torch.arange(values.shape[-1]) >= counts, -torch.inf)

    def observe(self, before, action, after):
        self.transition = before, action, after

    def error(self):
        """Return the TD error [R, E, N] of the last transition."""
        before, action, after = self.transition
        taken = self.values(self.cells(before)).gather(-1, action[..., None]).squeeze(-1)
        later = self.values(self.cells(after)).amax(-1) * ~after.terminated[..., None]
        return after.reward + 0.9 * later - taken

    def update(self):
        before, action, _ = self.transition
        error = self.error()
        for copy in range(error.shape[1]):
            rows = torch.arange(len(error))[:, None]
            where = rows, torch.arange(error.shape[2]), self.cells(before)[:, copy], action[:, copy]
            self.table[where] += self.lr * error[:, copy]
        return {"loss/td": error.square().mean(1)}

    def state_dict(self):
        return {"table": self.table}

    def load_state_dict(self, state):
        self.table.copy_(state["table"])


class TabularPolicy:
    """Epsilon-greedy; adds up the cells that it sees, and at multiples of 7 does the opposite."""

    def __init__(self, learner, explore, seeds):
        self.learner, self.epsilon = learner, 0.3 if explore else 0.0
        self.stream, self.counter, self.sum = Stream(seeds, "policy", learner.device), 0, None

    def __call__(self, step):
        cells = self.learner.cells(step)
        self.sum = cells if self.sum is None else self.remembered(step) + cells
        greedy = self.learner.values(cells).argmax(-1)
        greedy = torch.where(self.sum % 7 == 0, 1 - greedy.clamp(max=1), greedy)
        numbers = self.stream.uniform(self.counter, 2, *greedy.shape[1:])
        self.counter += 1
        drawn = (numbers[:, 1] * torch.tensor(self.learner.spec.num_actions)).long()
        return torch.where(numbers[:, 0] < self.epsilon, drawn, greedy)

    def remembered(self, step):
        return self.sum.masked_fill(step.first[..., None], 0)

    def state_dict(self):
        return {"sum": self.sum, "counter": self.counter}

    def load_state_dict(self, state):
        self.sum, self.counter = state["sum"], state["counter"]


class Gradient:
    """REINFORCE on the reward of a single step, by autograd: logits of every agent and cell."""

    def __init__(self, spec, seeds, device, *, num_envs, lr):
        self.spec, self.seeds, self.device = spec, seeds, device
        shape = (len(seeds), spec.num_agents, 10, 2)
        self.rows = torch.zeros(shape, device=device, requires_grad=True)
        self.optimizer = torch.optim.SGD([self.rows], lr=lr)

    def weights(self):
        return self.rows

    def log_probs(self, step):
        """Return the log-probabilities [R, E, N, 2] of both actions."""
        agents = torch.arange(self.spec.num_agents)
        replicas = torch.arange(len(self.seeds))[:, None, None]
        return self.weights()[replicas, agents, step.obs[..., 0].long()].log_softmax(-1)

    def policy(self, explore, seeds):
        return GradientPolicy(self, seeds)

    def observe(self, before, action, after):
        self.transition = before, action, after.reward

    def update(self):
        before, action, reward = self.transition
        chosen = self.log_probs(before).gather(-1, action[..., None]).squeeze(-1)
        loss = -(chosen * reward).mean(1)
        self.optimizer.zero_grad()
        loss.sum().backward()
        self.optimizer.step()
        return {"loss/policy": loss.detach()}

    def state_dict(self):
        return {"rows": self.rows.detach()}

    def load_state_dict(self, state):
        with torch.no_grad():
            self.rows.copy_(state["rows"])


class Rollout(Gradient):
    """Learns from twenty transitions at a time."""

    def __init__(self, *args, **keys):
        super().__init__(*args, **keys)
        self.rollout = []

    def observe(self, before, action, after):
        self.rollout.append((before.obs, action, after.reward))

    def update(self):
        if len(self.rollout) < 20:
            return {}
        # Replicas come first in memory as well, so that each is summed alone as in company.
        parts = zip(*self.rollout, strict=True)
        obs, action, reward = (torch.stack(part, 1).flatten(1, 2) for part in parts)
        self.rollout = []
        chosen = self.log_probs(SimpleNamespace(obs=obs)).gather(-1, action[..., None]).squeeze(-1)
        loss = -(chosen * reward).mean(1)
        self.optimizer.zero_grad()
        loss.sum().backward()
        self.optimizer.step()
        return {"loss/policy": loss.detach()}

    def state_dict(self):
        return {**super().state_dict(), "rollout": list(self.rollout)}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.rollout = list(state["rollout"])


class GradientPolicy:
    """Draws from the live probabilities."""

    def __init__(self, learner, seeds):
        self.learner, self.counter = learner, 0
        self.stream = Stream(seeds, "policy", learner.device)

    @torch.no_grad()
    def __call__(self, step):
        chance = self.learner.log_probs(step)[..., 1].exp()
        numbers = self.stream.uniform(self.counter, *chance.shape[1:])
        self.counter += 1
        return (numbers < chance).long()

    def state_dict(self):
        return {"counter": self.counter}

    def load_state_dict(self, state):
        self.counter = state["counter"]


class Offline:
    """Approaches 1 for action 0 and 0 for the others, from no play at all; never explores."""

    def __init__(self, spec, seeds, device, *, num_envs, lr):
        self.lr = lr
        self.values = Stream(seeds, "init", device).uniform(0, spec.num_agents, spec.num_actions[0])
        self.targets = torch.zeros_like(self.values)
        self.targets[..., 0] = 1.0

    def policy(self, explore, seeds):
        assert not explore
        return GreedyPolicy(self)

    def update(self):
        gap = self.targets - self.values
        self.values = self.values + 0.1 * self.lr * gap
        return {"loss/gap": gap.square().mean(-1)}

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"]


class GreedyPolicy:
    """Has no memory."""

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, step):
        return self.learner.values.argmax(-1)[:, None].expand(step.reward.shape).contiguous()

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass
