"""Behaviour cloning: policies that do what experts did, by maximum likelihood (Pomerleau 1991).

Shapes: R replicas, S demonstrated transitions, B of a batch, N agents.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marlrun.data.rows import Rows, drawn
from marlrun.data.symmetries import Symmetries
from marlrun.data.transitions import Transitions
from marlrun.nets.actor_critic import ActorCritic
from marlrun.nets.captured import captured, captured_with_autograd
from marlrun.nets.optimiser import MemberAdam
from marlrun.ops.moments import shares
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds, StateDict


@dataclass(frozen=True)
class CloningSettings:
    """The node `cloning` of conf/algo/ma_airl.yaml, where each key is explained."""

    updates: int
    batch: int
    lr: float


class Cloning:
    """Moves the policies of an `ActorCritic` towards demonstrated actions, a batch at a time."""

    def loss(self, batch: Transitions) -> Tensor:
        """Return -log pi(a | o) of each sample: [R, B, N]."""
        return -self._networks.log_prob(batch.obs, batch.action, batch.action_mask)

    @captured_with_autograd
    def _descend(self, lr: Tensor, *parts: Tensor | None) -> list[Tensor]:
        """Move all policies by a batch of transitions; return their mean losses [R, N]."""
        batch = Transitions(*parts)  # pyright: ignore  (the mask may be None)
        loss, counts = self.loss(batch), batch.counts.unsqueeze(-1)
        share = shares(counts, self._networks.settings.shares_policy).squeeze(-1)
        (gradient,) = torch.autograd.grad(loss, self._networks.rows["actor"], share)
        with torch.no_grad():
            self._optimiser.step(gradient, lr, self._waits)
            return [_means(loss, batch.counts)]

    def update(self, lr: float) -> Tensor:
        """Move all policies by a fresh batch; return their mean losses [R, N]."""
        draw = self._draws
        batch = self._drawn(self._rows)
        if self._symmetries is not None:
            batch = self._symmetries(draw, batch)
        return self._descend(torch.tensor(lr, device=batch.obs.device), *batch)[0]

    def tried(self, rows: Tensor) -> Tensor:
        """Return the mean losses [R, N] on a fresh batch of rows [1, S, F], which teach nothing."""
        return self._try(*self._drawn(rows))[0]

    @captured
    def _try(self, *parts: Tensor | None) -> list[Tensor]:
        batch = Transitions(*parts)  # pyright: ignore  (the mask may be None)
        return [_means(self.loss(batch), batch.counts)]

    def _drawn(self, rows: Tensor) -> Transitions:
        """Return a batch [R, B, N, ..] of rows [1, S, F]."""
        chance = self._random.uniform(self._draws, self._size)
        self._draws += 1
        parts = self._layout.unpack(drawn(rows, chance))
        return Transitions(**{"action_mask": None} | parts)  # pyright: ignore

    def __init__(
        self,
        networks: ActorCritic,
        expert: Transitions,
        seeds: Seeds,
        device: torch.device,
        size: int,
        symmetries: Symmetries | None,
        *,
        key: str,
    ):
        """Take policies, demonstrated transitions [1, S, N, ..], and how many make a batch.

        `key` is the one that says how many.

        Where there are `symmetries`, one of them shows every sample that is learned from.
        ValueError if the memory cannot hold a batch.
        """
        self._symmetries = symmetries
        self._networks, self._size = networks, size
        self._layout = Rows(expert.parts)
        # As rows, as parts of them, as a symmetry shows them, and as networks see them.
        num_bytes = 16 * len(seeds) * size * self._layout.size
        capacity.check(num_bytes, device, f"{key}={size} replicas={len(seeds)}")
        self._rows = self.rows(expert)
        self._optimiser = MemberAdam(networks.rows["actor"], None)
        self._waits = torch.zeros(len(seeds), 1, device=device)
        self._random = Stream(seeds, "cloning", device)
        self._draws = 0

    def rows(self, transitions: Transitions) -> Tensor:
        """Return transitions [1, S, N, ..] as rows [1, S, F]."""
        return self._layout.pack(transitions.parts)

    def state_dict(self) -> StateDict:
        """Return the optimiser and the number of draws; policies are their owner's."""
        return {"optimiser": self._optimiser.state_dict(), "draws": self._draws}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._optimiser.load_state_dict(state["optimiser"])
        self._draws = state["draws"]


def _means(loss: Tensor, counts: Tensor) -> Tensor:
    """Return the means [R, N] over the samples [R, B, N] that count."""
    return (loss * counts).sum(1) / counts.sum(1).clamp(min=1)
