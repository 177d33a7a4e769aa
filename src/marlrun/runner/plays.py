"""Plays: whole episodes of a policy, or of demonstrations, kept to measure recovered rewards on.

Shapes: R replicas, E episodes, T steps of the longest one, N agents, O observation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.config.plugins import resolve
from marlrun.config.tasks import tasks_of
from marlrun.data.demonstrations import Demonstrations
from marlrun.runner.build import Node
from marlrun.streams import Stream
from marlrun.types import Env, Policy, Seeds, Spec

EPISODES = 100
"""So many episodes of a play, per replica, for a point of a curve."""
MANY = 1000
"""So many for a result: a few episodes in which random play flies far away decide a correlation."""
STEPS = 500
"""So many steps of an episode; of longer ones the first."""
RANDOM = {"_target_": "marlrun.algos.random.Random"}
"""The algorithm of uniform random play, with which others are compared."""

BLOCK = 1024
"""Episodes of a replica that are played side by side, where the environment allows so many.

A constant, not what fits into a machine: the random numbers of an episode depend on it.
"""


class Play(NamedTuple):
    """What was seen, done and truly paid; [R, E, T, N, ..]."""

    obs: Tensor
    """[.., N, O]."""
    action: Tensor
    """[.., N] int64."""
    next_obs: Tensor
    """[.., N, O]: the true next observations, also where an episode ends."""
    reward: Tensor
    """[.., N]."""
    acted: Tensor
    """[.., N] bool; False after an episode's end, and for an agent that has left."""

    def paid_later(self) -> "Play":
        """Return the play with the rewards of the steps that follow; the last steps do not count."""
        reward, acted = (
            torch.cat((part[:, :, 1:], torch.zeros_like(part[:, :, :1])), 2)
            for part in (self.reward, self.acted)
        )
        return self._replace(reward=reward, acted=self.acted & acted)

    def draw(self, seeds: Seeds, name: str, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return obs, action, next_obs and reward [R, count, N, ..] of steps in which all acted.

        They are drawn uniformly, with replacement, by the random numbers called `name`.
        """
        obs, action, next_obs, reward, acted = (part.flatten(1, 2) for part in self)
        acted = acted.all(-1)
        chance = Stream(seeds, name, acted.device).uniform(0, count)
        valid_first = (~acted).byte().argsort(dim=1, stable=True)
        chosen = valid_first.gather(1, (chance * acted.sum(1, keepdim=True)).long())
        place = (torch.arange(len(acted), device=acted.device).unsqueeze(1), chosen)
        return obs[place], action[place], next_obs[place], reward[place]


@torch.no_grad()
def record(env: Env, policy: Policy) -> Play:
    """Play one episode in every copy of a game."""
    rows: list[Play] = []
    step = env.reset()
    playing = torch.ones_like(step.first)
    for _ in range(min(env.spec.horizon, STEPS)):
        action = policy(step)
        after = env.step(action)
        acted = playing.unsqueeze(-1).expand_as(action)
        if step.alive is not None:
            acted = acted & step.alive
        rows.append(Play(step.obs, action, after.obs, after.reward, acted))
        playing = playing & ~after.done
        step = env.restart(after)
    obs, action, next_obs, reward, acted = zip(*rows, strict=True)
    return Play(*(torch.stack(column, 2) for column in (obs, action, next_obs, reward, acted)))


def num_episodes(spec: Spec, *, thorough: bool) -> int:
    """Return how many episodes are played; of long ones not more than of a curve's steps in all."""
    steps = EPISODES * STEPS
    return max(EPISODES, min(MANY, steps // min(spec.horizon, STEPS))) if thorough else EPISODES


def demonstrated(
    demonstrations: Demonstrations, episodes: int, num_replicas: int, device: torch.device
) -> Play:
    """Return the first `episodes` of demonstrations, the same for all replicas."""
    part = demonstrations.beginning(episodes)
    starts = part.first.nonzero().squeeze(1)
    time = torch.arange(len(part.first)) - starts[part.episode]
    kept = time < STEPS
    place = part.episode[kept], time[kept]
    shape = len(starts), int(place[1].max()) + 1

    def padded(flat: Tensor) -> Tensor:
        filled = flat.new_zeros(*shape, *flat.shape[1:])
        filled[place] = flat[kept]
        return filled.to(device).expand(num_replicas, *filled.shape)

    acted = torch.ones_like(part.action, dtype=torch.bool) if part.alive is None else part.alive
    return Play(
        padded(part.obs),
        padded(part.action),
        padded(part.next_obs),
        padded(part.reward),
        padded(acted),
    )


def block_size(env_node: Node, plugins: Sequence[str]) -> int:
    """Return how many episodes of a replica are played side by side: `BLOCK`, or fewer.

    An environment's class asks for fewer by an attribute `max_evaluation_copies`; of several tasks,
    the one that asks for the fewest decides.
    """
    if tasks := tasks_of(env_node):
        return min(block_size(game, plugins) for game in tasks.values())
    make = resolve(env_node.get("_target_"), "env", plugins)
    return min(BLOCK, getattr(make, "max_evaluation_copies", BLOCK))
