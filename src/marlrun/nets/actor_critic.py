"""Policies and critics of all agents, for autograd, and what they see.

An agent has networks of its own, or all share one. A critic sees its agent's observation (IPPO, de
Witt et al., arXiv 2011.09533), the observations of all, or the game's state (MAPPO, Yu et al.,
NeurIPS 2022).

Shapes: R replicas, B batch, E copies, N agents, O observation, S state, A actions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marlrun.nets.captured import Captured
from marlrun.nets.masks import masked, missing_actions, missing_features
from marlrun.nets.mlp import num_parameters
from marlrun.nets.module import Activation
from marlrun.nets.per_agent import Central, PerAgent
from marlrun.ops.moments import RunningMoments
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

_LOWEST = -1e9
"""In the place of log 0, which times 0 is no number."""
_FAR = 10.0
"""Normalised observations further from 0 are clipped."""


@dataclass(frozen=True)
class ActorCriticSettings:
    """Those keys of conf/algo/ippo.yaml that make the networks."""

    critic: Literal["own", "central", "state"]
    share: Literal["none", "policy", "both"]
    hidden: Sequence[int]
    critic_hidden: Sequence[int]
    activation: Activation
    normalise_values: bool
    normalise_observations: bool

    @property
    def shares_policy(self) -> bool:
        """Whether all agents have one policy."""
        return self.share != "none"

    @property
    def shares_critic(self) -> bool:
        """Whether all agents have one critic."""
        return self.share == "both"


class ActorCritic:
    """The policies pi(a | o) and critics V(o) of all agents, and the moments that normalise both."""

    def logits(self, obs: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return [R, B, N, A] of observations [R, B, N, O], -1e9 where an action is not allowed."""
        return self._logits(self.seen(obs), allowed)

    def log_prob(self, obs: Tensor, action: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return log pi(a | o) [R, B, N] of observations [R, B, N, O] and actions [R, B, N]."""
        log_pi = self.log_pi(self.seen(obs), allowed)
        return log_pi.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def value(self, step: Step) -> Tensor:
        """Return V [R, E, N], the discounted return that critics expect."""
        return self.values(self.sight(self.seen(step.obs), step.state))

    def seen(self, obs: Tensor) -> Tensor:
        """Return observations [R, B, N, O] as policies see them: without padding, normalised."""
        obs = masked(obs, self._missing_features, 0.0)
        if self.obs_moments is None:
            return obs
        return self.obs_moments.normalise(obs).clamp(-_FAR, _FAR)

    def sight(self, seen: Tensor, state: Tensor | None) -> Tensor:
        """Return what critics see: what policies see, or the state [R, B, S]."""
        if self.settings.critic != "state":
            return seen
        assert state is not None
        return state

    def log_pi(self, seen: Tensor, allowed: Tensor | None) -> Tensor:
        """Return log pi(. | o) [R, B, N, A] of what policies see."""
        # Not along the last axis: with a few actions there torch takes several times as long. Replicas
        # stay before it, or the last bits would depend on which of them ends a vector of 16 numbers.
        logits = self._logits(seen, allowed).movedim(-1, 1)
        return logits.log_softmax(1).movedim(1, -1)

    def values(self, sight: Tensor) -> Tensor:
        """Return V [R, B, N] of what critics see, not normalised."""
        value = self.critic(sight)
        value = value if self.value_moments is None else self.value_moments.restore(value)
        return value.squeeze(-1)

    def take_in(self, obs: Tensor, counts: Tensor) -> None:
        """Add observations [R, B, N, O] that count, [R, B, N, 1], to the moments that normalise them."""
        if self.obs_moments is not None:
            self.obs_moments.add(masked(obs, self._missing_features, 0.0), counts)

    def _logits(self, seen: Tensor, allowed: Tensor | None) -> Tensor:
        logits = masked(self.actor(seen), self._missing_actions, _LOWEST)
        return logits if allowed is None else logits.masked_fill(~allowed, _LOWEST)

    def __init__(
        self, spec: Spec, seeds: Seeds, device: torch.device, settings: ActorCriticSettings
    ):
        """Make the networks.

        ValueError if agents that differ are to share, if critics are to see a state that the game
        does not have, or if the memory cannot hold the parameters.
        """
        _check(spec, settings)
        _check_room(spec, len(seeds), device, settings)
        self.settings = settings
        self._missing_actions = missing_actions(spec, device)
        self._missing_features = missing_features(spec, device)
        num_agents = spec.num_agents
        self.actor = PerAgent(
            _actor_sizes(spec, settings),
            seeds,
            num_agents,
            device,
            shared=settings.shares_policy,
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
            shared=settings.shares_critic,
            name="critic",
            activation=settings.activation,
        )
        self.rows = {"actor": self.actor.net.rows, "critic": self.critic.net.rows}
        """What is learned."""

        size = (len(seeds), num_agents)
        self.value_moments = (
            RunningMoments(*size, 1, device, shared=settings.shares_critic)
            if settings.normalise_values
            else None
        )
        self.obs_moments = (
            RunningMoments(*size, max(spec.obs_sizes), device, shared=settings.shares_policy)
            if settings.normalise_observations
            else None
        )

    def state_dict(self) -> StateDict:
        """Return the parameters and the moments."""
        moments = {name: x.state_dict() for name, x in self._moments().items()}
        return {name: rows.detach() for name, rows in self.rows.items()} | {"moments": moments}

    @torch.no_grad()
    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit; other keys are left alone."""
        for name, rows in self.rows.items():
            rows.copy_(state[name])
        for name, moments in self._moments().items():
            moments.load_state_dict(state["moments"][name])

    def _moments(self) -> dict[str, RunningMoments]:
        moments = {"values": self.value_moments, "observations": self.obs_moments}
        return {name: x for name, x in moments.items() if x is not None}


def logits_of(networks: ActorCritic) -> Callable[[Step], Tensor]:
    """Return what turns steps, all of one shape, into logits [R, E, N, A]."""
    logits = Captured(lambda *seen: [networks.logits(*seen)])

    def of(step: Step) -> Tensor:
        seen = (step.obs,) if step.action_mask is None else (step.obs, step.action_mask)
        return logits(*seen)[0]

    return of


def _actor_sizes(spec: Spec, settings: ActorCriticSettings) -> list[int]:
    return [max(spec.obs_sizes), *settings.hidden, max(spec.num_actions)]


def _critic_sizes(spec: Spec, settings: ActorCriticSettings) -> list[int]:
    inputs = {
        "own": max(spec.obs_sizes),
        "central": spec.num_agents * max(spec.obs_sizes),
        "state": spec.num_states or spec.state_size or 0,
    }
    return [inputs[settings.critic], *settings.critic_hidden, 1]


def _check(spec: Spec, settings: ActorCriticSettings) -> None:
    """Raise ValueError where the settings do not fit the game."""
    if settings.critic == "state" and spec.num_states is spec.state_size is None:
        raise ValueError("algo.critic=state: expected own or central: this game has no state")
    is_unequal = len(set(spec.obs_sizes)) > 1 or len(set(spec.num_actions)) > 1
    if settings.share != "none" and is_unequal:
        raise ValueError(
            f"algo.share={settings.share}: expected none, since agents differ in observations "
            f"{spec.obs_sizes} or actions {spec.num_actions}"
        )


def _check_room(
    spec: Spec, replicas: int, device: torch.device, settings: ActorCriticSettings
) -> None:
    """Raise ValueError if the memory cannot hold the networks."""
    # Parameters, their gradient, Adam's two moments, and what is drawn at the beginning.
    sizes = (_actor_sizes(spec, settings), _critic_sizes(spec, settings))
    numbers = 6 * replicas * spec.num_agents * sum(map(num_parameters, sizes))
    hidden, critic_hidden = list(settings.hidden), list(settings.critic_hidden)
    keys = f"algo.hidden={hidden} algo.critic_hidden={critic_hidden} replicas={replicas}"
    capacity.check(4 * numbers, device, keys)
