"""How leniently an agent judges each of its transitions: by the temperature of its state-action pair.

Palmer, Tuyls, Bloembergen, Savani, "Lenient Multi-Agent Deep Reinforcement Learning", AAMAS 2018,
arXiv 1707.04402. A state is what an agent observes. As in that paper, like observations share a
temperature by a locality-sensitive hash: the sides of random hyperplanes on which they lie (SimHash,
Charikar, STOC 2002). The paper hashes what an autoencoder makes of an image; these observations are
short vectors, which are hashed as they are. Its temperatures of later steps fall faster, which is
left out here.

Shapes: R replicas, E copies, N agents, O observation features, A actions.
"""

import torch
from torch import Tensor

from marlrun.ops.td import strictness
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds

_RESOLUTION = 256
"""Observations are rounded to 1 / 256: sums of whole numbers are the same in any order."""
_MOST_VISITS = 1 << 16
"""After so many visits a pair does not cool any more."""
_OFFSET = 64
"""What stands behind each rounded observation, so that hyperplanes need not meet the origin."""


class Leniency:
    """Counts each agent's visits of its state-action pairs, which cool at every visit."""

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_agents: int,
        obs_size: int,
        num_actions: int,
        factor: float,
        decay: float,
        bits: int,
    ):
        """Make all pairs warm; ValueError if the memory cannot hold their counts.

        `factor` is K in exp(-K T), `decay` what a visit makes of T, `bits` the hyperplanes.
        """
        members = len(seeds) * num_agents
        size = members * 2**bits * num_actions
        capacity.check(8 * size, device, f"algo.leniency_bits={bits} replicas={len(seeds)}")
        self.visits = torch.zeros(size, dtype=torch.int64, device=device)
        self._num_actions = num_actions
        temperature = decay ** torch.arange(_MOST_VISITS + 1, device=device)
        self._strictness = strictness(temperature, factor)
        """By the number of visits; a table, so that a number's place in a tensor rounds nothing."""
        numbers = Stream(seeds, "leniency", device).bits(0, num_agents, bits, obs_size + 1)
        self._planes = (numbers >> 48).unsqueeze(1)
        """[R, 1, N, bits, O + 1], whole numbers of 16 bits with sign."""
        self._powers = 2 ** torch.arange(bits, device=device)
        member = torch.arange(members, device=device).view(len(seeds), 1, num_agents)
        self._first_cell = member * 2**bits

    def marked(self, seen: Tensor, action: Tensor) -> Tensor:
        """Return what agents see [R, E, N, O + 1], with the strictness towards its action behind."""
        visits = self.visit(seen, action).clamp_(max=_MOST_VISITS)
        return torch.cat((seen, self._strictness[visits].unsqueeze(-1)), -1)

    def visit(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return how often each pair was visited before, and count this visit: int64 [R, E, N].

        obs is [R, E, N, O], action is [R, E, N]. Copies that meet the same pair at once count each.
        """
        whole = (obs * _RESOLUTION).round().long()
        whole = torch.nn.functional.pad(whole, (0, 1), value=_OFFSET).unsqueeze(-2)
        side = (whole * self._planes).sum(-1) > 0
        cell = self._first_cell + (side * self._powers).sum(-1)
        pair = (cell * self._num_actions + action).flatten()
        visits = self.visits[pair]
        self.visits.index_add_(0, pair, torch.ones_like(pair))
        return visits.view(action.shape)
