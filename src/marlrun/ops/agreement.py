"""How far a recovered reward agrees with the true one: correlations, and a distance between rewards.

Shapes: R replicas, E episodes, T steps, B transitions, N agents, O observation, K samples.
"""

from collections.abc import Callable
from math import lcm

import torch
from torch import Tensor

Reward = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Observations [R, B, N, O], actions [R, B, N] and next observations -> rewards [R, B, N]."""


def pearson(x: Tensor, y: Tensor) -> Tensor:
    """Return Pearson's correlation of x and y [.., B], float64 [..].

    It is 0 where x or y is constant, and so tells nothing of the other.
    """
    x, y = (part.double() - part.double().mean(-1, keepdim=True) for part in (x, y))
    scale = (x.square().sum(-1) * y.square().sum(-1)).sqrt()
    correlation = (x * y).sum(-1) / torch.where(scale > 0, scale, 1.0)
    return correlation.clamp(-1.0, 1.0)


def spearman(x: Tensor, y: Tensor) -> Tensor:
    """Return Spearman's correlation of x and y [.., B], float64 [..]: that of their ranks.

    Numbers that are equal have the mean of their ranks.
    """
    return pearson(_ranks(x), _ranks(y))


def _ranks(x: Tensor) -> Tensor:
    from scipy import stats  # pyright: ignore[reportMissingTypeStubs]  (slow to import)

    return torch.from_numpy(stats.rankdata(x.cpu().numpy(), axis=-1))


def returns_to_go(reward: Tensor, gamma: float) -> Tensor:
    """Return G_t = r_t + gamma G_{t+1} of rewards [R, E, T, N] of episodes, 0 where one has ended."""
    returns = reward.clone()
    for t in reversed(range(reward.shape[2] - 1)):
        returns[:, :, t].add_(returns[:, :, t + 1], alpha=gamma)
    return returns


def canonical(
    reward: Reward,
    obs: Tensor,
    action: Tensor,
    next_obs: Tensor,
    samples: tuple[Tensor, Tensor, Tensor],
    gamma: float,
) -> Tensor:
    """Return the canonically shaped rewards [R, B, N] of transitions (Gleave et al. 2021, def. 4.1).

    C(r)(s, a, s') = r(s, a, s') + E[gamma r(s', A, S') - r(s, A, S') - gamma r(S, A, S')], which is
    the same for rewards that differ by gamma Phi(s') - Phi(s). The expectation is a mean over
    `samples`: S [R, K, N, O], A [R, K, N] and S' [R, K, N, O]. In the place of states stand what
    the agents observe of them.
    """
    starts, actions, ends = samples

    def expected(seen: Tensor) -> Tensor:
        """Return E[r(seen, A, S')], a mean over the samples one after another."""
        total = torch.zeros_like(action, dtype=torch.float32)
        for k in range(actions.shape[1]):
            choice, end = (
                part[:, k : k + 1].expand_as(like)
                for part, like in ((actions, action), (ends, seen))
            )
            total += reward(seen, choice, end)
        return total / actions.shape[1]

    constant = reward(starts, actions, ends).mean(1, keepdim=True)
    return (
        reward(obs, action, next_obs)
        + gamma * expected(next_obs)
        - expected(obs)
        - gamma * constant
    )


def balanced_actions(chance: Tensor, num_actions: tuple[int, ...]) -> Tensor:
    """Return actions [R, K, N] in which each agent takes each of its actions equally often.

    `chance` [R, K, N] in [0, 1) decides the order of each agent; K is a multiple of every number of
    actions.
    """
    counts = torch.tensor(num_actions, device=chance.device)
    return chance.argsort(1) % counts


def num_samples(num_actions: tuple[int, ...], least: int = 5) -> int:
    """Return a K for `balanced_actions` that is not below `least`."""
    together = lcm(*num_actions)
    return together * -(-least // together)


def pearson_distance(correlation: Tensor) -> Tensor:
    """Return sqrt((1 - rho) / 2): 0 for equivalent rewards, 1 for opposite ones (ibid.)."""
    return ((1 - correlation) / 2).sqrt()
