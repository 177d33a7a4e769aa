"""Networked actor-critic in plain torch: what a script for one setting does at each step.

Linear critics and policies of local features, constant step sizes, private rewards, one round of
mixing (Zhang et al., ICML 2018, algorithms 1 and 2); no metrics, no ends of episodes, no choices.
R replicas, N agents, O observation, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass
class Agents:
    """All that agents learn; `mixed` returns what they make of what they hear, [R, N, K]."""

    mixed: Callable[[Tensor], Tensor]
    critic: Tensor
    """w of algorithm 1 [R, N, O + A - 1], v of algorithm 2 [R, N, O]."""
    model: Tensor
    """lambda of algorithm 2: [R, N, O + A - 1]."""
    weight: Tensor
    """[R, N, O, A]."""
    bias: Tensor
    """[R, N, A]."""
    average: Tensor
    """mu [R, N]."""
    critic_step: float
    actor_step: float


class Transition(NamedTuple):
    """s_t, a_t, r_{t+1}, s_{t+1}, a_{t+1}: observations [R, N, O], all else [R, N]."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    next_action: Tensor


def networked_ac_q(agents: Agents, seen: Transition) -> None:
    """Take a step of algorithm 1."""
    num_actions = agents.bias.shape[-1]
    phi = _features(seen.obs, seen.action, num_actions)
    next_phi = _features(seen.next_obs, seen.next_action, num_actions)
    q, next_q = (phi * agents.critic).sum(-1), (next_phi * agents.critic).sum(-1)
    delta = seen.reward - agents.average + next_q - q
    scores = _scores(agents, seen)
    # The first action adds nothing to Q.
    advantage = (scores[..., 1:] * agents.critic[..., seen.obs.shape[-1] :]).sum(-1)
    agents.average += agents.critic_step * (seen.reward - agents.average)
    step = agents.critic_step * delta.unsqueeze(-1) * phi
    agents.critic = agents.mixed(agents.critic + step)
    _ascend(agents, seen, advantage, scores)


def networked_ac_v(agents: Agents, seen: Transition) -> None:
    """Take a step of algorithm 2."""
    phi = _features(seen.obs, seen.action, agents.bias.shape[-1])
    value = (seen.obs * agents.critic).sum(-1)
    next_value = (seen.next_obs * agents.critic).sum(-1)
    modelled = (phi * agents.model).sum(-1)
    gain = next_value - value - agents.average
    scores = _scores(agents, seen)
    agents.average += agents.critic_step * (seen.reward - agents.average)
    step = agents.critic_step * (seen.reward + gain).unsqueeze(-1) * seen.obs
    agents.critic = agents.mixed(agents.critic + step)
    step = agents.critic_step * (seen.reward - modelled).unsqueeze(-1) * phi
    agents.model = agents.mixed(agents.model + step)
    _ascend(agents, seen, modelled + gain, scores)


def _features(obs: Tensor, action: Tensor, num_actions: int) -> Tensor:
    return torch.cat((obs, one_hot(action, num_actions)[..., 1:]), -1)


def _scores(agents: Agents, seen: Transition) -> Tensor:
    logits = torch.einsum("rno,rnoa->rna", seen.obs, agents.weight) + agents.bias
    return one_hot(seen.action, logits.shape[-1]) - logits.softmax(-1)


def _ascend(agents: Agents, seen: Transition, worth: Tensor, scores: Tensor) -> None:
    gradient = agents.actor_step * worth.unsqueeze(-1) * scores
    agents.weight += seen.obs.unsqueeze(-1) * gradient.unsqueeze(-2)
    agents.bias += gradient
