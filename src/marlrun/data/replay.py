"""Replay of whole joint episodes and of traces cut from them (CERT, Omidshafiei et al. 2017).

Every environment copy has a ring of its own, so the memory is first-in first-out with no
bookkeeping that depends on the data: a slot is open while its episode runs and can be sampled once
it is closed.

Shapes: R replicas, E copies, N agents, B traces, T = trace steps, O features.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, StateDict


class Traces(NamedTuple):
    """A minibatch; steps outside the episode are zero. T counts the steps of a burn-in too."""

    obs: Tensor
    """[R, N, T + 1, B, O]."""
    action: Tensor
    """[R, N, T, B] int64."""
    reward: Tensor
    """[R, N, T, B]."""
    end: Tensor
    """[R, N, T, B] float: 1.0 where the next value must not be bootstrapped."""
    mask: Tensor
    """[R, N, T, B] float: 1.0 at steps that are learned from, 0.0 at padding and in a burn-in."""


class EpisodeReplay:
    """The last `episodes` joint episodes per replica, in equal shares (rounded up) for each copy.

    One record holds an agent's (obs, action, reward, end). Records of an episode of length L are
    rows 0 .. L of its slot; the last holds only the final observation.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        num_agents: int,
        obs_size: int,
        horizon: int,
        episodes: int,
        batch: int,
        trace: int,
        concurrent: bool,
        burn_in: int = 0,
    ):
        """Raise ValueError if the memory cannot hold the episodes."""
        self.num_replicas, self.num_agents, self.obs_size = len(seeds), num_agents, obs_size
        self.slots = math.ceil(episodes / num_envs) + 1
        self.rows = horizon + 1
        rings = self.num_replicas * num_envs
        total = rings * self.slots * self.rows
        capacity.check(
            4 * total * num_agents * (obs_size + 3),
            device,
            f"algo.episodes={episodes} env.horizon={horizon} env.num_envs={num_envs} "
            f"replicas={self.num_replicas}",
        )
        self._padding = torch.tensor(total, device=device)
        self._never = torch.tensor(-1.0, device=device)
        self.records = torch.zeros(total + 1, num_agents, obs_size + 3, device=device)
        self.length = torch.zeros(rings * self.slots, dtype=torch.int64, device=device)
        self.slot = torch.zeros(rings, dtype=torch.int64, device=device)
        self.time = torch.zeros(rings, dtype=torch.int64, device=device)
        self._first_slot = torch.arange(rings, device=device) * self.slots
        self._look = device.type == "cpu"
        self._record = torch.zeros(rings, num_agents, obs_size + 3, device=device)
        wide = self._record.view(self.num_replicas, num_envs, num_agents, -1)
        self._columns = (wide[..., :obs_size], *wide[..., obs_size:].unbind(-1))

        self.batch, self.trace, self.burn_in = batch, trace, burn_in
        self._draws = 0
        groups = 1 if concurrent else num_agents
        numbers = num_envs * self.slots + batch
        self._random = Blocks(Stream(seeds, "replay", device), groups, numbers, elements=1 << 13)
        self._step = torch.arange(burn_in + trace + 1, device=device)[:, None]
        self._agents = torch.arange(num_agents, device=device)[:, None, None]
        self._first_row = self._first_slot[::num_envs, None, None] * self.rows

    def add(
        self, obs: Tensor, action: Tensor, reward: Tensor, end: Tensor, after: Tensor, done: Tensor
    ) -> None:
        """Append a joint step of every copy.

        obs and after [R, E, N, O], action and reward [R, E, N], end and done [R, E] bool.
        """
        slot = self._first_slot + self.slot
        row = torch.add(self.time, slot, alpha=self.rows)
        values = (obs, action, reward, end.unsqueeze(-1))
        for column, value in zip(self._columns, values, strict=True):
            column.copy_(value)
        self.records.index_copy_(0, row, self._record)
        self.time += 1
        if self._look and not done.any():
            return
        final = torch.nn.functional.pad(after, (0, 3)).flatten(0, 1)
        self.records.index_copy_(0, row + 1, final)
        self._close(slot, done.flatten())

    def forget_unfinished(self, first: Tensor) -> None:
        """Drop the open episodes of the copies where `first` [R, E]: another one begins there."""
        self.time.masked_fill_(first.flatten(), 0)

    def _close(self, slot: Tensor, done: Tensor) -> None:
        """Close the slots of ended episodes and open the oldest ones."""
        self.length.index_copy_(0, slot, self.time * done)
        self.slot.add_(done).remainder_(self.slots)
        self.length.index_fill_(0, self._first_slot + self.slot, 0)
        self.time.mul_(~done)

    def sample(self) -> Traces:
        """Draw `batch` traces of `trace` steps: distinct episodes, then a start in each.

        Every closed episode is equally likely; the start is uniform on {1 - trace, .., length - 1},
        what lies before the episode is cut off and the rest moved to the front. Concurrent: all
        agents get the same (episode, start); otherwise each draws its own. At least `batch`
        episodes must be closed.

        With a burn-in up to so many steps of the episode come before the trace, to warm up a
        network's memory (R2D2, Kapturowski et al., ICLR 2019); nothing is learned from them.
        """
        return self.cut(self.draw())

    def draw(self) -> Tensor:
        """Return the next random numbers in [0, 1) for `cut`, [R, 1 or N, E * slots + B]."""
        self._draws += 1
        return self._random(self._draws - 1)

    def cut(self, uniform: Tensor) -> Traces:
        """Return the traces that the numbers of a `draw` choose; no Python depends on data."""
        row, steps, warm = self._choose(uniform)
        inside = self._step <= steps
        rows = torch.where(inside, row + self._step, self._padding)
        index = torch.add(self._agents, rows, alpha=self.num_agents)
        records = self.records.view(-1, self.obs_size + 3).index_select(0, index.flatten())
        records = records.view(*index.shape, -1)
        obs, rest = torch.split(records, [self.obs_size, 3], -1)
        action, reward, end = rest[:, :, :-1].unbind(-1)
        mask = inside[:, :, 1:]
        if warm is not None:
            mask = mask & (self._step[:-1] >= warm)
        return Traces(obs, action.long(), reward, end, mask.float().expand_as(reward))

    def _choose(self, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return first rows, numbers of steps, and how many of these belong to a burn-in.

        They are those of a batch of traces, each [R, G, 1, B]; None where there is no burn-in.
        """
        slots = uniform.shape[-1] - self.batch
        uniform, start = torch.split(uniform, [slots, self.batch], -1)
        length = self.length.view(self.num_replicas, 1, -1)
        slot = torch.where(length > 0, uniform, self._never).topk(self.batch, sorted=False).indices
        length = length.expand_as(uniform).gather(-1, slot)
        start = (start * (length + (self.trace - 1))).long() - (self.trace - 1)
        stop = torch.minimum(start + self.trace, length)
        start = start.clamp_(min=0)
        warm = None
        if self.burn_in:
            warm = start.clamp(max=self.burn_in)
            start = start - warm
            warm = warm.unsqueeze(2)
        row = torch.add(self._first_row + start, slot, alpha=self.rows)
        return row.unsqueeze(2), (stop - start).unsqueeze(2), warm

    def state_dict(self) -> StateDict:
        """Return everything that decides what is sampled next."""
        return {"draws": self._draws} | {name: getattr(self, name) for name in _SAVED}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._draws = state["draws"]
        for name in _SAVED:
            getattr(self, name).copy_(state[name])


_SAVED = ("records", "length", "slot", "time")
