"""Behaviour cloning: policies that do what experts did, by maximum likelihood (Pomerleau 1991).

Shapes: R replicas, S demonstrated transitions, B of a batch, N agents.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marlrun.data.rows import Rows, drawn
from marlrun.data.transitions import Transitions
from marlrun.nets.actor_critic import ActorCritic
from marlrun.nets.captured import captured, captured_with_autograd
from marlrun.nets.optimiser import MemberAdam
from marlrun.ops.moments import shares
from marlrun.streams import Stream
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
        """Return -log pi(a | o) of each sample, weighted so that its sum is a mean: [R, B, N]."""
        log_pi = self._networks.log_prob(batch.obs, batch.action, batch.action_mask)
        share = shares(batch.counts.unsqueeze(-1), self._networks.settings.shares_policy)
        return -share.squeeze(-1) * log_pi

    @captured_with_autograd
    def _descend(self, lr: Tensor, rows: Tensor) -> list[Tensor]:
        """Move all policies by a batch of rows [R, B, F]; return the losses [R, N]."""
        loss = self.loss(self._batch(rows))
        parameters = self._networks.rows["actor"]
        (gradient,) = torch.autograd.grad(loss, parameters, torch.ones_like(loss))
        with torch.no_grad():
            self._optimiser.step(gradient, lr, self._waits)
        return [loss.detach().sum(1)]

    def update(self, lr: float) -> Tensor:
        """Move all policies by a fresh batch; return the losses [R, N]."""
        rows = self._drawn(self._rows)
        return self._descend(torch.tensor(lr, device=rows.device), rows)[0]

    def tried(self, rows: Tensor) -> Tensor:
        """Return the losses [R, N] on a fresh batch of rows [1, S, F] that are not learned from."""
        return self._try(self._drawn(rows))[0]

    @captured
    def _try(self, rows: Tensor) -> list[Tensor]:
        return [self.loss(self._batch(rows)).sum(1)]

    def _batch(self, rows: Tensor) -> Transitions:
        return Transitions(**{"action_mask": None} | self._layout.unpack(rows))  # pyright: ignore

    def _drawn(self, rows: Tensor) -> Tensor:
        """Return a batch [R, B, F] of rows [1, S, F]."""
        chance = self._random.uniform(self._draws, self._size)
        self._draws += 1
        return drawn(rows, chance)

    def __init__(
        self,
        networks: ActorCritic,
        expert: Transitions,
        seeds: Seeds,
        device: torch.device,
        size: int,
    ):
        """Take policies, demonstrated transitions [1, S, N, ..], and how many make a batch."""
        self._networks, self._size = networks, size
        self._layout = Rows(expert.parts)
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
