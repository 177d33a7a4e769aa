"""Adversarial teachers: discriminators learn to tell policies from experts, and pay who fools them.

Shapes: R replicas, B transitions, N agents, O observation, F numbers of a row.
"""

from typing import Protocol

import torch
from torch import Tensor

from marlrun.algos.imitation.learner import (
    Imitation,
    ImitationSettings,
    demonstrated,
    make_ppo,
)
from marlrun.data.reservoir import Reservoir, check_room
from marlrun.data.rows import Rows, drawn
from marlrun.data.symmetries import symmetries_of
from marlrun.data.transitions import Transitions
from marlrun.nets.actor_critic import ActorCritic
from marlrun.nets.captured import captured_with_autograd
from marlrun.nets.discriminator import Inputs
from marlrun.nets.optimiser import MemberAdam
from marlrun.nets.recovered import RecoveredReward
from marlrun.ops.adversarial import balanced_shares, cross_entropy, discriminator_metrics
from marlrun.ops.schedules import linear
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Metrics, Seeds, Spec, StateDict


class Discriminator(Protocol):
    """D_i of all agents, by the networks of one method; observations are given as it sees them."""

    inputs: Inputs
    """How it sees observations."""
    rows: dict[str, torch.nn.Parameter]
    """What is learned."""
    recovered: RecoveredReward
    """What it takes to be the reward."""
    uses_log_pi: bool
    """Whether log pi counts; where it does not, 0 is given for it."""

    def logit(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return log D - log(1 - D) [R, B, N] of transitions; `log_pi` is that of their actions."""
        ...

    def reward(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return what policies are paid [R, B, N]."""
        ...


class Adversarial:
    """Trains a discriminator on batches of what policies and experts did; pays by its reward."""

    @captured_with_autograd
    def _descend(self, lr: Tensor, log_pi: Tensor, *parts: Tensor) -> list[Tensor]:
        """Move all discriminators by a batch [R, B, N, ..], the expert's last; return the metrics."""
        batch = Transitions(*parts, action_mask=None)
        is_expert = self._is_expert
        logit = self.discriminator.logit(batch, log_pi)
        # -E_expert[log D] - E_policy[log(1 - D)]
        loss = cross_entropy(logit, is_expert)
        share = balanced_shares(batch.counts, is_expert)
        rows = list(self.discriminator.rows.values())
        gradients = torch.autograd.grad(loss, rows, share)
        with torch.no_grad():
            for optimiser, gradient in zip(self._optimisers.values(), gradients, strict=True):
                optimiser.step(gradient, lr, self._waits)
            metrics = discriminator_metrics(logit, loss, batch.counts, is_expert)
        self._tags = list(metrics)
        return list(metrics.values())

    @torch.no_grad()
    def learn(self, play: Transitions, progress: float) -> Metrics:
        """Descend `steps` batches drawn from this play, from all play so far, and from the expert."""
        settings = self._settings.discriminator
        self.discriminator.inputs.take_in(play.obs, play.counts)
        batches = self._batches(self._layout.pack(play.parts))
        # Policies stay while discriminators learn, so log pi is that of now for all batches.
        log_pi = self._log_pi(batches)
        seen = self._seen(batches)
        lr = torch.tensor(linear(settings.lr, settings.lr_final, progress), device=log_pi.device)
        metrics: list[Tensor] = []
        size = len(self._is_expert)
        for start in range(0, log_pi.shape[1], size):
            parts = [part[:, start : start + size] for part in (log_pi, *seen[:-1])]
            metrics = self._descend(lr, *parts)
        return dict(zip(self._tags, metrics, strict=True))

    @torch.no_grad()
    def pay(self, play: Transitions) -> Tensor:
        """See `Teacher`."""
        return self.discriminator.reward(self._seen(play), self._log_pi(play))

    def _batches(self, rows: Tensor) -> Transitions:
        """Return all batches of a round [R, steps * B, N, ..]; each ends with the expert's part."""
        steps = self._settings.discriminator.steps
        chance = self._random.uniform(self.rounds, steps, sum(self._sizes))
        fresh, old, expert = (part.flatten(1) for part in torch.split(chance, self._sizes, 2))
        parts = [drawn(rows, fresh), drawn(self._expert, expert)]
        if self._reservoir is not None:
            self._reservoir.add(rows)
            parts.insert(0, self._reservoir.sample(old))
        by_step = [part.view(len(rows), steps, -1, rows.shape[2]) for part in parts]
        batches = self._unpacked(torch.cat(by_step, 2).flatten(1, 2))
        if self._symmetries is not None:
            batches = self._symmetries(self.rounds, batches)
        self.rounds += 1
        return batches

    def _unpacked(self, rows: Tensor) -> Transitions:
        return Transitions(**{"action_mask": None} | self._layout.unpack(rows))  # pyright: ignore

    def _log_pi(self, batch: Transitions) -> Tensor:
        """Return log pi(a | o) [R, B, N] under the policies of now, if somebody asks for it."""
        if not self.discriminator.uses_log_pi:
            return torch.zeros_like(batch.counts)
        return self._networks.log_prob(batch.obs, batch.action, batch.action_mask)

    def _seen(self, batch: Transitions) -> Transitions:
        """Return transitions as the discriminator sees them."""
        inputs = self.discriminator.inputs
        return batch._replace(obs=inputs(batch.obs), next_obs=inputs(batch.next_obs))

    def __init__(
        self,
        discriminator: Discriminator,
        networks: ActorCritic,
        expert: Transitions,
        spec: Spec,
        seeds: Seeds,
        settings: ImitationSettings,
    ):
        """Take the policies `networks` and transitions of an expert [1, S, N, ..].

        ValueError if the game has no such symmetries, or if the memory cannot hold the batches of a
        round or the reservoir.
        """
        device = expert.obs.device
        self.discriminator, self._networks, self._settings = discriminator, networks, settings
        self.recovered = discriminator.recovered
        self._layout = Rows(expert.parts)
        self._expert = self._layout.pack(expert.parts)
        discriminator.inputs.take_in(expert.obs, expert.counts)
        _check_room(self._layout.size, len(seeds), device, settings)
        batch, replay = settings.discriminator.batch, settings.replay
        num_old = round(replay.share * batch)
        self._sizes = [batch - num_old, num_old, batch]
        """Samples of the present play, of all play so far and of the expert in a batch."""
        self._is_expert = torch.arange(2 * batch, device=device).unsqueeze(1) >= batch
        self._reservoir = None
        if num_old > 0:
            check_room(len(seeds), self._layout.size, device, replay)
            self._reservoir = Reservoir(
                seeds,
                device,
                capacity=replay.capacity,
                first=round(replay.first_share * replay.capacity),
                num_features=self._layout.size,
            )
        is_joint = settings.discriminator.view == "all"
        self._symmetries = symmetries_of(spec, settings.symmetries, seeds, device, joint=is_joint)
        self._optimisers = {
            name: MemberAdam(rows, None, settings.discriminator.l2)
            for name, rows in discriminator.rows.items()
        }
        self._waits = torch.zeros(len(seeds), 1, device=device)
        self._tags: list[str] = []
        self._random = Stream(seeds, "discriminator", device)
        self.rounds = 0
        """Rollouts that were learned from."""

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        state: StateDict = {
            "inputs": self.discriminator.inputs.state_dict(),
            "optimisers": {name: x.state_dict() for name, x in self._optimisers.items()},
            "rounds": self.rounds,
        }
        if self._reservoir is not None:
            state["reservoir"] = self._reservoir.state_dict()
        return state | {name: rows.detach() for name, rows in self.discriminator.rows.items()}

    @torch.no_grad()
    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.discriminator.inputs.load_state_dict(state["inputs"])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, rows in self.discriminator.rows.items():
            rows.copy_(state[name])
        if self._reservoir is not None:
            self._reservoir.load_state_dict(state["reservoir"])
        self.rounds = state["rounds"]


def adversarial(
    discriminator: Discriminator,
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    num_envs: int,
    settings: ImitationSettings,
) -> Imitation:
    """Return a learner whose policies are paid by a discriminator, which learns beside them."""
    expert = demonstrated(settings, device)
    ppo = make_ppo(spec, seeds, device, num_envs, settings.ppo)
    teacher = Adversarial(discriminator, ppo.networks, expert, spec, seeds, settings)
    return Imitation(ppo, expert, teacher, settings)


def _check_room(
    num_features: int, replicas: int, device: torch.device, settings: ImitationSettings
) -> None:
    """Raise ValueError if the memory cannot hold the batches of a round."""
    steps, batch = settings.discriminator.steps, settings.discriminator.batch
    keys = f"algo.discriminator.steps={steps} algo.discriminator.batch={batch} replicas={replicas}"
    # As rows, as parts of them, as a symmetry shows them, and as discriminators see them.
    capacity.check(16 * replicas * steps * 2 * batch * num_features, device, keys)
