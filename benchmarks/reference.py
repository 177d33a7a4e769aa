"""Dec-HDRQN as one writes it first: a module per agent, autograd, lists, one environment.

The same algorithm as `marlrun.algos.dec_hdrqn` in the paper's configuration (squared hysteresis,
concurrent traces, matched target history, a time limit ends the game), and nothing else. It is
clear and right, and what marlrun is timed against.
"""

import copy
import random
from collections import deque

import numpy as np
import torch
from torch import nn


class QNetwork(nn.Module):
    """Two layers, an LSTM, one layer, a linear head."""

    def __init__(self, obs_size, num_actions, sizes):
        super().__init__()
        first, second, units, last = sizes
        self.encoder = nn.Sequential(
            nn.Linear(obs_size, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
        )
        self.lstm = nn.LSTM(second, units, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(units, last), nn.ReLU())
        self.head = nn.Linear(last, num_actions)

    def forward(self, obs, memory=None):
        """Run over obs [B, T, O]; return Q [B, T, A] and the LSTM's new memory."""
        hidden, memory = self.lstm(self.encoder(obs), memory)
        return self.head(self.decoder(hidden)), memory


class DecHDRQN:
    """All agents; `settings` are the keys of conf/algo/dec_hdrqn.yaml."""

    def __init__(self, num_agents, obs_size, num_actions, learning_starts, settings):
        self.settings, self.learning_starts = settings, learning_starts
        self.num_actions = num_actions
        self.online = [
            QNetwork(obs_size, num_actions, settings["sizes"]) for _ in range(num_agents)
        ]
        self.target = copy.deepcopy(self.online)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), settings["lr"]) for net in self.online
        ]
        self.memories = [None] * num_agents
        self.episode, self.episodes = [], deque(maxlen=settings["episodes"])
        self.clock = 0

    @property
    def epsilon(self):
        """Exploration now."""
        if self.clock < self.learning_starts:
            return 1.0
        start, final = self.settings["epsilon_start"], self.settings["epsilon_final"]
        progress = (self.clock - self.learning_starts) / self.settings["epsilon_steps"]
        return start + (final - start) * min(1.0, progress)

    @torch.no_grad()
    def act(self, obs):
        """Return a list of epsilon-greedy actions for obs [N, O]."""
        actions = []
        for agent, net in enumerate(self.online):
            x = torch.from_numpy(obs[agent]).view(1, 1, -1)
            q, self.memories[agent] = net(x, self.memories[agent])
            explore = random.random() < self.epsilon
            actions.append(random.randrange(self.num_actions) if explore else q.argmax().item())
        return actions

    def remember(self, obs, actions, result):
        """Store a joint step; at an episode's end close it and forget."""
        done = result.terminated or result.truncated
        self.episode.append((obs, actions, result.reward, done))
        self.clock += 1
        if done:
            obs, actions, reward, end = zip(*self.episode, strict=True)
            self.episodes.append(
                (
                    np.stack((*obs, result.obs)),
                    np.array(actions),
                    np.array(reward, dtype=np.float32),
                    np.array(end, dtype=np.float32),
                )
            )
            self.episode = []
            self.memories = [None] * len(self.online)

    def update(self):
        """Learn and copy into the target networks when it is time."""
        if self.clock >= self.learning_starts and self.clock % self.settings["update_every"] == 0:
            self.learn(self.sample())
        if self.clock % self.settings["target_every"] == 0:
            for online, target in zip(self.online, self.target, strict=True):
                target.load_state_dict(online.state_dict())

    def sample(self):
        """Return obs [B, T + 1, N, O], action [B, T, N], reward, end and mask [B, T]."""
        batch, trace = self.settings["batch"], self.settings["trace"]
        obs = np.zeros((batch, trace + 1, *self.episodes[0][0].shape[1:]), dtype=np.float32)
        action = np.zeros((batch, trace, len(self.online)), dtype=np.int64)
        reward, end, mask = np.zeros((3, batch, trace), dtype=np.float32)
        for row, episode in enumerate(random.sample(self.episodes, batch)):
            length = len(episode[1])
            start = random.randint(1 - trace, length - 1)
            start, stop = max(start, 0), min(start + trace, length)
            steps = stop - start
            obs[row, : steps + 1] = episode[0][start : stop + 1]
            action[row, :steps] = episode[1][start:stop]
            reward[row, :steps] = episode[2][start:stop]
            end[row, :steps] = episode[3][start:stop]
            mask[row, :steps] = 1
        return [torch.from_numpy(array) for array in (obs, action, reward, end, mask)]

    def learn(self, batch):
        """Take one Adam step for each agent; return the losses."""
        losses = []
        for agent, optimizer in enumerate(self.optimizers):
            loss = self.loss(agent, *batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    def loss(self, agent, obs, action, reward, end, mask):
        """Return one agent's hysteretic loss."""
        obs = obs[:, :, agent]
        q = self.online[agent](obs[:, :-1])[0]
        taken = q.gather(-1, action[:, :, agent, None]).squeeze(-1)
        with torch.no_grad():
            later = self.target[agent](obs)[0][:, 1:].amax(-1)
            target = reward + self.settings["gamma"] * (1 - end) * later
        delta = (target - taken) * mask
        return torch.maximum(self.settings["beta"] * delta, delta).square().mean()


def online(learner, game):
    """Yield after every joint action, for ever."""
    obs = game.reset()
    while True:
        actions = learner.act(obs)
        result = game.step(actions)
        learner.remember(obs, actions, result)
        learner.update()
        yield
        obs = game.reset() if result.terminated or result.truncated else result.obs
