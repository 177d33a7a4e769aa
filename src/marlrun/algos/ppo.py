"""Proximal policy optimisation for many agents, with critics of their own or central ones.

Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347; independent learners
(IPPO) as in de Witt et al., arXiv 2011.09533; central critics (MAPPO) as in Yu et al., "The
Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", NeurIPS 2022. Whatever
normalises, clips, shuffles or stops does so for each replica alone.

Shapes: R replicas, T steps of a rollout, E copies, N agents, S = T E samples, B samples of a
minibatch, O observation, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from marlrun.data.rollout import Recorder, Rollout
from marlrun.data.samples import Packing, Samples, shuffled
from marlrun.nets.actor_critic import ActorCritic, ActorCriticSettings, logits_of
from marlrun.nets.captured import captured, captured_with_autograd
from marlrun.nets.optimiser import MemberAdam
from marlrun.nets.recovered import RecoveredReward
from marlrun.nets.sampling import Greedy, Sampling
from marlrun.ops.moments import normalised, shares
from marlrun.ops.policy_gradient import (
    clipped_policy_loss,
    divergence,
    generalised_advantages,
    value_loss,
)
from marlrun.ops.schedules import linear
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


@dataclass(frozen=True)
class PPOSettings(ActorCriticSettings):
    """The keys of conf/algo/ippo.yaml, where each is explained."""

    rollout: int
    epochs: int
    minibatches: int
    gamma: float
    lam: float
    lr: float
    lr_final: float
    entropy: float
    entropy_final: float
    anneal_steps: int
    clip: float
    value_clip: float | None
    max_grad_norm: float | None
    target_kl: float | None
    eval_greedy: bool


class PPO:
    """The learner; its parameters are explained in conf/algo/ippo.yaml."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    def actor_loss(self, batch: Samples, entropy_weight: Tensor) -> tuple[Tensor, Metrics]:
        """Return what policies descend, to be summed over samples, and its parts [R, N].

        `loss/kl` estimates KL(pi_old, pi).
        """
        log_pi = self.networks.log_pi(batch.obs, batch.allowed)
        log_ratio = log_pi.gather(-1, batch.action) - batch.log_pi
        # -L^CLIP
        loss = clipped_policy_loss(log_ratio, batch.advantage, self.settings.clip)
        # S[pi] = -sum_a pi log pi
        entropy = -(log_pi.exp() * log_pi).sum(-1, keepdim=True)
        parts = {
            "loss/policy": loss,
            "loss/kl": divergence(log_ratio),
            "explore/entropy": entropy,
        }
        share = shares(batch.counts, self.settings.shares_policy)
        return share * (loss - entropy_weight * entropy), _means(parts, batch.counts)

    def critic_loss(self, batch: Samples) -> tuple[Tensor, Metrics]:
        """Return what critics descend, to be summed over samples, and its mean [R, N]."""
        value = self.networks.critic(batch.sight)
        # L^VF
        loss = value_loss(value, batch.value, batch.target, self.settings.value_clip)
        share = shares(batch.counts, self.settings.shares_critic)
        return share * loss, _means({"loss/value": loss}, batch.counts)

    @captured_with_autograd
    def descend(self, lr: Tensor, entropy_weight: Tensor, rows: Tensor) -> list[Tensor]:
        """Move all networks by a minibatch, given as rows of `Packing`; return the metrics."""
        assert self._packing is not None
        batch = self._packing.samples(rows)
        loss, metrics = self.actor_loss(batch, entropy_weight)
        if self.settings.target_kl is not None:
            # A replica that has gone far enough stays where it is until the next rollout.
            far = metrics["loss/kl"].mean(1, keepdim=True) > self.settings.target_kl
            for waits in self._waits.values():
                waits.masked_fill_(far, 1.0)
        metrics["loss/actor_gradient"] = self._move("actor", loss, lr)
        loss, critic_metrics = self.critic_loss(batch)
        metrics |= critic_metrics | {"loss/critic_gradient": self._move("critic", loss, lr)}
        self._tags = list(metrics)
        return list(metrics.values())

    def _move(self, name: str, loss: Tensor, lr: Tensor) -> Tensor:
        """Descend the sum of `loss` by one of the networks; return the gradient's length [R]."""
        # A mean would divide every replica's gradient by the number of replicas.
        rows = self.networks.rows[name]
        (gradient,) = torch.autograd.grad(loss, rows, torch.ones_like(loss))
        with torch.no_grad():
            norm = self.optimisers[name].step(gradient, lr, self._waits[name])
            return norm.view(len(self.seeds), -1).mean(1)

    def learn(self, rollout: Rollout, reward: Tensor, *, critics_only: bool = False) -> Metrics:
        """Improve policies and critics by a rollout whose rewards are `reward` [R, T, E, N]."""
        (rows,), settings = self.prepare(reward, *rollout), self.settings
        progress = self.clock / settings.anneal_steps
        lr, entropy_weight = torch.tensor(
            [
                linear(settings.lr, settings.lr_final, progress),
                linear(settings.entropy, settings.entropy_final, progress),
            ],
            device=self.device,
        )
        self._waits["actor"].fill_(float(critics_only))
        self._waits["critic"].zero_()
        metrics: list[Tensor] = []
        for _ in range(settings.epochs):
            chance = self._random.uniform(self.shuffles, rows.shape[1])
            self.shuffles += 1
            for batch in shuffled(rows, chance, settings.minibatches):
                metrics = self.descend(lr, entropy_weight, batch)
        # Not before: networks have seen this rollout by the moments of then.
        samples = rollout.flat()
        self.networks.take_in(samples.obs, samples.counts.unsqueeze(-1))
        return dict(zip(self._tags, metrics, strict=True))

    def update(self) -> Metrics:
        """Learn when a rollout is complete."""
        if not self.recorder.is_full:
            return {}
        rollout = self.recorder.take()
        return self.learn(rollout, self.reward_fn(rollout))

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition of every copy."""
        self.recorder.add(before, action, after)
        self.clock += self.num_envs

    def policy(self, explore: bool, seeds: Seeds) -> "PPOPolicy | Greedy":
        """Return the live policy; evaluation samples from it too, unless `eval_greedy`."""
        logits = logits_of(self.networks)
        if self.settings.eval_greedy and not explore:
            return Greedy(logits)
        return PPOPolicy(logits, Stream(seeds, "policy", self.device), self.networks.value)

    @captured
    def prepare(self, reward: Tensor, *parts: Tensor) -> list[Tensor]:
        """Return the rollout of these parts as rows of `Packing`.

        Advantages and targets are those of the present critics.
        """
        rollout, networks = Rollout(*parts), self.networks
        samples = rollout.flat()
        obs, next_obs = networks.seen(samples.obs), networks.seen(samples.next_obs)
        sight = networks.sight(obs, samples.state)
        next_sight = networks.sight(next_obs, samples.next_state)
        value, next_value = (networks.values(x).view_as(reward) for x in (sight, next_sight))
        advantage = generalised_advantages(
            reward,
            value,
            next_value,
            rollout.terminated,
            rollout.done,
            self.settings.gamma,
            self.settings.lam,
        )
        value, advantage = value.flatten(1, 2), advantage.flatten(1, 2)
        columns = (samples.action, samples.counts, value, advantage)
        action, counts, value, advantage = (column.unsqueeze(-1) for column in columns)
        target = advantage + value
        if networks.value_moments is not None:
            # By the moments that it was restored by: a clipped V stays near what the critic puts out.
            value = networks.value_moments.normalise(value)
            networks.value_moments.add(target, counts)
            target = networks.value_moments.normalise(target)
        allowed = samples.action_mask
        log_pi = networks.log_pi(obs, allowed).gather(-1, action)
        advantage = normalised(advantage, counts, self.settings.shares_policy)
        samples = Samples(obs, sight, action, counts, log_pi, value, advantage, target, allowed)
        self._packing = Packing(samples)
        return [self._packing.rows(samples)]

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        settings: PPOSettings,
        reward: RecoveredReward | None = None,
    ):
        """Make the learner; `reward` is what it learns from in the place of the game's rewards."""
        _check(num_envs, settings)
        _check_room(spec, len(seeds), num_envs, device, settings)
        self.spec, self.seeds, self.device, self.num_envs = spec, seeds, device, num_envs
        self.settings = settings
        self.reward_fn: Callable[[Rollout], Tensor] = lambda rollout: rollout.reward
        """What is learned from: the rewards [R, T, E, N] of a rollout."""
        if reward is not None:
            self.reward_fn = lambda rollout: reward(rollout.obs, rollout.action) * rollout.counts
            self.reward = reward.reward
            """Only here, so that a learner is `Rewarding` where it learns from such a reward."""
        self.networks = ActorCritic(spec, seeds, device, settings)
        self.optimisers = {
            name: MemberAdam(rows, settings.max_grad_norm)
            for name, rows in self.networks.rows.items()
        }
        self.recorder = Recorder(settings.rollout)
        self._waits = {
            name: torch.zeros(len(seeds), 1, device=device) for name in self.networks.rows
        }
        """0.0 where a replica's networks learn on, 1.0 where they wait for the next rollout."""
        self._packing: Packing | None = None
        self._tags: list[str] = []
        self._random = Stream(seeds, "shuffle", device)
        self.shuffles = 0
        self.clock = 0
        """Environment steps seen, per replica."""

    def state_dict(self) -> StateDict:
        """Return everything learned, and the rollout as far as it goes."""
        return self.networks.state_dict() | {
            "optimisers": {name: x.state_dict() for name, x in self.optimisers.items()},
            "rollout": self.recorder.state_dict(),
            "shuffles": self.shuffles,
            "clock": self.clock,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.networks.load_state_dict(state)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.recorder.load_state_dict(state["rollout"])
        self.shuffles, self.clock = state["shuffles"], state["clock"]


class PPOPolicy(Sampling):
    """Draws every agent's action from its live policy; its value is that of the live critics."""

    def __init__(
        self,
        logits: Callable[[Step], Tensor],
        stream: Stream,
        value: Callable[[Step], Tensor],
    ):
        super().__init__(logits, stream)
        self.value = value


def _means(parts: Metrics, counts: Tensor) -> Metrics:
    """Return the means [R, N] of parts [R, B, N, 1] over the samples that count."""
    share = shares(counts, shared=False)
    return {tag: (share * part.detach()).sum((1, 3)) for tag, part in parts.items()}


def _check_room(
    spec: Spec, replicas: int, num_envs: int, device: torch.device, settings: PPOSettings
) -> None:
    """Raise ValueError if the memory cannot hold a rollout."""
    # The steps as they come, stacked, copied for `prepare`, as networks see them, and as rows.
    steps = capacity.of_steps(spec, replicas, num_envs * settings.rollout)
    keys = f"algo.rollout={settings.rollout} env.num_envs={num_envs} replicas={replicas}"
    capacity.check(5 * steps, device, keys)


def _check(num_envs: int, settings: PPOSettings) -> None:
    """Raise ValueError where the settings do not fit each other."""
    num_samples = settings.rollout * num_envs
    if settings.minibatches > num_samples:
        raise ValueError(
            f"algo.minibatches={settings.minibatches}: expected at most algo.rollout * env.num_envs "
            f"= {num_samples} joint steps"
        )
