"""A sample of fixed size of all that came before, uniform over the past.

Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11 (1985),
algorithm R, many items at a time. A part of the room may be kept for the first items for ever.

Shapes: R replicas, C the capacity, B items, F numbers of an item.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marlrun.data.rows import drawn
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds, StateDict


@dataclass(frozen=True)
class ReplaySettings:
    """The node `replay` of conf/algo/ma_airl.yaml, where each key is explained."""

    capacity: int
    share: float
    first_share: float


class Reservoir:
    """Items as rows of floats, as many for each replica; none is replaced before there is no room."""

    def __init__(
        self, seeds: Seeds, device: torch.device, *, capacity: int, first: int, num_features: int
    ):
        """Take C, and how many of the first items stay for ever."""
        self._room = torch.empty(len(seeds), capacity, num_features, device=device)
        self._first, self._capacity = first, capacity
        self._stream = Stream(seeds, "reservoir", device)
        self._adds = 0
        self.num_seen = 0
        """Items that have come, of each replica."""

    @property
    def rows(self) -> Tensor:
        """The items that are kept [R, up to C, F]; the first ones come first."""
        return self._room[:, : min(self.num_seen, self._capacity)]

    def add(self, rows: Tensor) -> None:
        """Take in items [R, B, F], as many at every call."""
        bits = self._stream.bits(self._adds, rows.shape[1])
        num_stored = max(0, min(rows.shape[1], self._capacity - self.num_seen))
        stored = slice(self.num_seen, self.num_seen + num_stored)
        self._room[:, stored] = rows[:, :num_stored]
        self.num_seen += rows.shape[1]
        self._adds += 1
        if num_stored < rows.shape[1]:
            # 53 bits, all that a double holds: with fewer, late items could not tell slots apart.
            chance = (bits[:, num_stored:] & ((1 << 53) - 1)).double() * 2.0**-53
            self._replace(rows[:, num_stored:], chance)

    def _replace(self, rows: Tensor, chance: Tensor) -> None:
        """Let items [R, B, F], the last that have come, replace others."""
        replicas, count, _ = rows.shape
        size = self._capacity - self._first
        # Item t of those that are sampled goes to slot floor(u t), and is lost where there is none.
        last = self.num_seen - self._first
        time = torch.arange(last - count + 1, last + 1, device=rows.device)
        slot = (chance * time).long().clamp_(max=size)
        # Of several that go to one slot, the last stays.
        order = torch.arange(count, device=rows.device).expand(replicas, -1)
        winner = torch.full((replicas, size + 1), -1, device=rows.device)
        winner = winner.scatter_reduce_(1, slot, order, "amax")[:, :size]
        replica, place = (winner >= 0).nonzero(as_tuple=True)
        self._room[replica, self._first + place] = rows[replica, winner[replica, place]]

    def sample(self, chance: Tensor) -> Tensor:
        """Return the items [R, B, F] that numbers [R, B] in [0, 1) choose among those that are kept."""
        return drawn(self._room, chance, min(self.num_seen, self._capacity))

    def state_dict(self) -> StateDict:
        """Return the items and how many have come."""
        # A clone, for a checkpoint would hold all the room otherwise.
        return {"rows": self.rows.clone(), "num_seen": self.num_seen, "adds": self._adds}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.num_seen, self._adds = state["num_seen"], state["adds"]
        self.rows.copy_(state["rows"])


def check_room(
    replicas: int, num_features: int, device: torch.device, settings: ReplaySettings
) -> None:
    """Raise ValueError if the memory cannot hold a reservoir."""
    keys = f"algo.replay.capacity={settings.capacity} replicas={replicas}"
    # The items, and their copy in a checkpoint.
    capacity.check(8 * replicas * settings.capacity * num_features, device, keys)
