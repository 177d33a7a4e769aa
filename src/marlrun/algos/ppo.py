"""Proximal policy optimisation for many agents, with critics of their own or central ones.

Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347; independent learners
(IPPO) as in de Witt et al., arXiv 2011.09533; central critics (MAPPO) as in Yu et al., "The
Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", NeurIPS 2022. Whatever
normalises, clips, shuffles or stops does so for each replica alone.

Shapes: R replicas, T steps of a rollout, E copies, N agents, S = T E samples, B samples of a
minibatch, O observation, A actions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from marlrun.data.rollout import Recorder, Rollout, shuffled
from marlrun.nets.captured import Captured, captured_with_autograd
from marlrun.nets.masks import masked, missing_actions, missing_features
from marlrun.nets.mlp import num_parameters
from marlrun.nets.module import Activation
from marlrun.nets.optimiser import MemberAdam
from marlrun.nets.per_agent import Central, PerAgent
from marlrun.nets.sampling import Greedy, Sampling
from marlrun.ops.moments import RunningMoments, normalised, shares
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

_LOWEST = -1e9
"""In the place of log 0, which times 0 is no number."""
_FAR = 10.0
"""Normalised observations further from 0 are clipped."""


@dataclass(frozen=True)
class PPOSettings:
    """The keys of conf/algo/ippo.yaml, where each is explained."""

    critic: Literal["own", "central", "state"]
    share: Literal["none", "policy", "both"]
    hidden: Sequence[int]
    critic_hidden: Sequence[int]
    activation: Activation
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
    normalise_values: bool
    normalise_observations: bool
    eval_greedy: bool


class Samples(NamedTuple):
    """What minibatches are drawn from; [R, S, N, ..] where nothing else is said."""

    obs: Tensor
    """[.., O]: what policies see."""
    sight: Tensor
    """[.., O], or [R, S, state]: what critics see."""
    action: Tensor
    """[.., 1] int64."""
    counts: Tensor
    """[.., 1]: 1.0 where the agent acted, 0.0 where it had left."""
    log_pi: Tensor
    """[.., 1]: log pi_old(a | o)."""
    value: Tensor
    """[.., 1]: V_old(o), normalised."""
    advantage: Tensor
    """[.., 1], normalised."""
    target: Tensor
    """[.., 1], normalised."""
    allowed: Tensor | None
    """[.., A] bool."""


class PPO:
    """The learner; its parameters are explained in conf/algo/ippo.yaml."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    def losses(self, batch: Samples, entropy_weight: Tensor) -> tuple[Tensor, Metrics]:
        """Return what is descended, [R], and its parts, [R, N], with KL(pi_old, pi) as `loss/kl`."""
        log_pi = self._log_pi(batch.obs, batch.allowed)
        log_ratio = log_pi.gather(-1, batch.action) - batch.log_pi
        # -L^CLIP
        policy_loss = clipped_policy_loss(log_ratio, batch.advantage, self.settings.clip)
        # S[pi] = -sum_a pi log pi, to which a forbidden action adds nothing
        entropy = -(log_pi.exp() * log_pi.clamp(min=_LOWEST)).sum(-1, keepdim=True)
        # L^VF
        value = self.critic(batch.sight)
        critic_loss = value_loss(value, batch.value, batch.target, self.settings.value_clip)
        actor_share = shares(batch.counts, self._shares_policy)
        critic_share = shares(batch.counts, self._shares_critic)
        total = actor_share * (policy_loss - entropy_weight * entropy) + critic_share * critic_loss
        parts = {
            "loss/policy": policy_loss,
            "loss/value": critic_loss,
            "loss/kl": divergence(log_ratio),
            "explore/entropy": entropy,
        }
        each = shares(batch.counts, shared=False)
        return total.sum((1, 2, 3)), {
            tag: (each * part.detach()).sum((1, 3)) for tag, part in parts.items()
        }

    @captured_with_autograd
    def descend(self, lr: Tensor, entropy_weight: Tensor, *parts: Tensor) -> list[Tensor]:
        """Move all networks by a minibatch, whose `parts` are those of Samples; return the metrics."""
        batch = Samples(*parts, *[None] * (len(Samples._fields) - len(parts)))
        loss, metrics = self.losses(batch, entropy_weight)
        if self.settings.target_kl is not None:
            # A replica that has gone far enough stays where it is until the next rollout.
            far = metrics["loss/kl"].mean(1, keepdim=True) > self.settings.target_kl
            self._moves.masked_fill_(far, 0.0)
        # A sum: a mean would divide every replica's gradient by the number of replicas.
        rows = [self.actor.net.rows, self.critic.net.rows]
        gradients = torch.autograd.grad(loss.sum(), rows)
        with torch.no_grad():
            for (name, optimiser), gradient in zip(self.optimisers.items(), gradients, strict=True):
                norm = optimiser.step(gradient, lr, self._moves)
                metrics[f"loss/{name}_gradient"] = norm.view(len(self.seeds), -1).mean(1)
        self._tags = list(metrics)
        return list(metrics.values())

    def learn(self, rollout: Rollout, reward: Tensor) -> Metrics:
        """Improve policies and critics by a rollout whose rewards are `reward` [R, T, E, N]."""
        samples, settings = self._prepare(rollout, reward), self.settings
        progress = self.clock / settings.anneal_steps
        lr, entropy_weight = torch.tensor(
            [
                linear(settings.lr, settings.lr_final, progress),
                linear(settings.entropy, settings.entropy_final, progress),
            ],
            device=self.device,
        )
        self._moves.fill_(1.0)
        metrics: list[Tensor] = []
        for _ in range(settings.epochs):
            chance = self._random.uniform(self.shuffles, samples.counts.shape[1])
            self.shuffles += 1
            for batch in shuffled(samples, chance, settings.minibatches):
                metrics = self.descend(lr, entropy_weight, *batch)
        if self.obs_moments is not None:
            # Not before: networks have seen this rollout by the moments of then.
            obs = masked(rollout.flat().obs, self._missing_features, 0.0)
            self.obs_moments.add(obs, samples.counts)
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
        if self.settings.eval_greedy and not explore:
            return Greedy(_logits_of(self))
        return PPOPolicy(self, seeds)

    def logits(self, obs: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return [R, B, N, A] of observations [R, B, N, O], -inf where an action is not allowed."""
        return self._logits(self._seen(obs), allowed)

    @torch.no_grad()
    def value(self, step: Step) -> Tensor:
        """Return V [R, E, N], the discounted return that critics expect."""
        return self._values(self._sight(self._seen(step.obs), step.state))

    def log_prob(self, obs: Tensor, action: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return log pi(a | o) [R, B, N] of observations [R, B, N, O] and actions [R, B, N]."""
        log_pi = self._log_pi(self._seen(obs), allowed)
        return log_pi.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def _log_pi(self, seen: Tensor, allowed: Tensor | None) -> Tensor:
        # Not along the last axis: with a few actions there torch takes several times as long.
        logits = self._logits(seen, allowed).movedim(-1, 0)
        return logits.log_softmax(0).movedim(0, -1)

    def _logits(self, seen: Tensor, allowed: Tensor | None) -> Tensor:
        logits = masked(self.actor(seen), self._missing_actions, -torch.inf)
        return logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)

    def _seen(self, obs: Tensor) -> Tensor:
        """Return observations [R, B, N, O] as networks see them."""
        obs = masked(obs, self._missing_features, 0.0)
        if self.obs_moments is None:
            return obs
        return self.obs_moments.normalise(obs).clamp(-_FAR, _FAR)

    def _sight(self, seen: Tensor, state: Tensor | None) -> Tensor:
        """Return what critics see: what policies see, or the state [R, B, S]."""
        if self.settings.critic != "state":
            return seen
        assert state is not None
        return state

    def _values(self, sight: Tensor) -> Tensor:
        """Return V [R, B, N] of what critics see."""
        value = self.critic(sight)
        value = value if self.value_moments is None else self.value_moments.restore(value)
        return value.squeeze(-1)

    @torch.no_grad()
    def _prepare(self, rollout: Rollout, reward: Tensor) -> Samples:
        """Return a rollout as samples; advantages and targets are those of the present critics."""
        samples = rollout.flat()
        obs, next_obs = self._seen(samples.obs), self._seen(samples.next_obs)
        sight = self._sight(obs, samples.state)
        next_sight = self._sight(next_obs, samples.next_state)
        value, next_value = (self._values(x).view_as(reward) for x in (sight, next_sight))
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
        if self.value_moments is not None:
            self.value_moments.add(target, counts)
            target, value = (self.value_moments.normalise(x) for x in (target, value))
        allowed = samples.action_mask
        log_pi = self._log_pi(obs, allowed).gather(-1, action)
        advantage = normalised(advantage, counts, self._shares_policy)
        return Samples(obs, sight, action, counts, log_pi, value, advantage, target, allowed)

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        settings: PPOSettings,
    ):
        _check(spec, num_envs, settings)
        _check_room(spec, len(seeds), num_envs, device, settings)
        self.spec, self.seeds, self.device, self.num_envs = spec, seeds, device, num_envs
        self.settings = settings
        self.reward_fn: Callable[[Rollout], Tensor] = lambda rollout: rollout.reward
        """What is learned from: the rewards [R, T, E, N] of a rollout."""
        self._shares_policy = settings.share != "none"
        self._shares_critic = settings.share == "both"
        self._missing_actions = missing_actions(spec, device)
        self._missing_features = missing_features(spec, device)
        num_agents = spec.num_agents
        self.actor = PerAgent(
            _actor_sizes(spec, settings),
            seeds,
            num_agents,
            device,
            shared=self._shares_policy,
            name="actor",
            activation=settings.activation,
            last_gain=0.01,
        )
        make_critic = PerAgent if settings.critic == "own" else Central
        self.critic = make_critic(
            _critic_sizes(spec, settings),
            seeds,
            num_agents,
            device,
            shared=self._shares_critic,
            name="critic",
            activation=settings.activation,
        )
        self.optimisers = {
            "actor": MemberAdam(self.actor.net.rows, settings.max_grad_norm),
            "critic": MemberAdam(self.critic.net.rows, settings.max_grad_norm),
        }

        size = (len(seeds), num_agents)
        self.value_moments = (
            RunningMoments(*size, 1, device, shared=self._shares_critic)
            if settings.normalise_values
            else None
        )
        self.obs_moments = (
            RunningMoments(*size, max(spec.obs_sizes), device, shared=self._shares_policy)
            if settings.normalise_observations
            else None
        )
        self.recorder = Recorder(settings.rollout)
        self._moves = torch.ones(len(seeds), 1, device=device)
        """1.0 where a replica learns on, 0.0 where it waits for the next rollout."""
        self._tags: list[str] = []
        self._random = Stream(seeds, "shuffle", device)
        self.shuffles = 0
        self.clock = 0
        """Environment steps seen, per replica."""

    def state_dict(self) -> StateDict:
        """Return everything learned, and the rollout as far as it goes."""
        moments = {"values": self.value_moments, "observations": self.obs_moments}
        return {
            "actor": self.actor.net.rows.detach(),
            "critic": self.critic.net.rows.detach(),
            "optimisers": {name: x.state_dict() for name, x in self.optimisers.items()},
            "moments": {name: x.state_dict() for name, x in moments.items() if x is not None},
            "rollout": self.recorder.state_dict(),
            "shuffles": self.shuffles,
            "clock": self.clock,
        }

    @torch.no_grad()
    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.actor.net.rows.copy_(state["actor"])
        self.critic.net.rows.copy_(state["critic"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        if self.value_moments is not None:
            self.value_moments.load_state_dict(state["moments"]["values"])
        if self.obs_moments is not None:
            self.obs_moments.load_state_dict(state["moments"]["observations"])
        self.recorder.load_state_dict(state["rollout"])
        self.shuffles, self.clock = state["shuffles"], state["clock"]


class PPOPolicy(Sampling):
    """Draws every agent's action from its live policy; its value is that of the live critics."""

    def __init__(self, learner: PPO, seeds: Seeds):
        super().__init__(_logits_of(learner), Stream(seeds, "policy", learner.device))
        self.value = learner.value


def _logits_of(learner: PPO) -> Callable[[Step], Tensor]:
    """Return what turns steps, all of one shape, into logits."""
    logits = Captured(lambda *seen: [learner.logits(*seen)])

    def of(step: Step) -> Tensor:
        seen = (step.obs,) if step.action_mask is None else (step.obs, step.action_mask)
        return logits(*seen)[0]

    return of


def _actor_sizes(spec: Spec, settings: PPOSettings) -> list[int]:
    return [max(spec.obs_sizes), *settings.hidden, max(spec.num_actions)]


def _critic_sizes(spec: Spec, settings: PPOSettings) -> list[int]:
    inputs = {
        "own": max(spec.obs_sizes),
        "central": spec.num_agents * max(spec.obs_sizes),
        "state": spec.num_states or spec.state_size or 0,
    }
    return [inputs[settings.critic], *settings.critic_hidden, 1]


def _check_room(
    spec: Spec, replicas: int, num_envs: int, device: torch.device, settings: PPOSettings
) -> None:
    """Raise ValueError if the memory cannot hold the networks or a rollout."""
    # Parameters, their gradient, Adam's two moments, and what is drawn at the beginning.
    sizes = (_actor_sizes(spec, settings), _critic_sizes(spec, settings))
    networks = 6 * replicas * spec.num_agents * sum(map(num_parameters, sizes))
    hidden, critic_hidden = list(settings.hidden), list(settings.critic_hidden)
    keys = f"algo.hidden={hidden} algo.critic_hidden={critic_hidden} replicas={replicas}"
    capacity.check(4 * networks, device, keys)
    # The steps as they come, stacked, and shuffled.
    steps = capacity.of_steps(spec, replicas, num_envs * settings.rollout)
    keys = f"algo.rollout={settings.rollout} env.num_envs={num_envs} replicas={replicas}"
    capacity.check(3 * steps, device, keys)


def _check(spec: Spec, num_envs: int, settings: PPOSettings) -> None:
    """Raise ValueError where the settings do not fit each other or the game."""
    num_samples = settings.rollout * num_envs
    if settings.minibatches > num_samples:
        raise ValueError(
            f"algo.minibatches={settings.minibatches}: expected at most algo.rollout * env.num_envs "
            f"= {num_samples} joint steps"
        )
    if settings.critic == "state" and spec.num_states is spec.state_size is None:
        raise ValueError("algo.critic=state: expected own or central: this game has no state")
    is_unequal = len(set(spec.obs_sizes)) > 1 or len(set(spec.num_actions)) > 1
    if settings.share != "none" and is_unequal:
        raise ValueError(
            f"algo.share={settings.share}: expected none, since agents differ in observations "
            f"{spec.obs_sizes} or actions {spec.num_actions}"
        )
