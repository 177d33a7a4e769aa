"""A learner's critics: where they are, and where they must come to rest."""

import itertools
from typing import Any

import numpy as np
import torch

from marlrun.exact import average_reward
from marlrun.exact.average_reward import Game
from paper2.summaries import Array
from paper2.worlds import World


def tables(made: Any) -> tuple[Array | None, Array]:
    """Return a learner's features of states [R, S, K], if it has any, and of (s, a) [R, S * J, K]."""
    spec, num_replicas = made.spec, len(made.average)
    joint = torch.tensor(list(itertools.product(*map(range, spec.num_actions))))
    states = torch.eye(spec.num_states)
    seen = states.repeat_interleave(len(joint), 0).expand(num_replicas, -1, -1)
    actions = joint.repeat(spec.num_states, 1).expand(num_replicas, -1, -1)
    model = getattr(made, "model", None)
    of_action = (model or made.critic).features(seen, actions)[:, :, 0].double().numpy()
    if model is None:
        return None, of_action
    return made.critic.features(states.expand(num_replicas, -1, -1))[:, :, 0].double().numpy(), (
        of_action
    )


def rest(made: Any, games: list[Game]) -> list[Array]:
    """Return where critics rest with these policies: [w [R, K]], or [v, lambda]."""
    pi = made.actor.table().double().numpy()
    of_state, of_action = tables(made)
    solvers = [(average_reward.critic_q, of_action)]
    if of_state is not None:
        solvers = [(average_reward.critic_v, of_state), (average_reward.reward_model, of_action)]
    return [
        np.stack([solve(*each) for each in zip(games, pi, phi, strict=True)])
        for solve, phi in solvers
    ]


def learned(made: Any) -> list[torch.Tensor]:
    """Return w, or v and lambda, each [R, N, K]."""
    return [made.critic.parameters, *([made.model.parameters] if hasattr(made, "model") else [])]


def averaged(at: World, num_ticks: int, watched: list[torch.Tensor]) -> list[Array]:
    """Train; return the means over the second half of the ticks."""
    at.run(num_ticks // 2)
    sums = [torch.zeros_like(x, dtype=torch.float64) for x in watched]
    later = num_ticks - num_ticks // 2
    for _ in range(later):
        at.run(1)
        for total, x in zip(sums, watched, strict=True):
            total.add_(x)
    return [total.numpy() / later for total in sums]
