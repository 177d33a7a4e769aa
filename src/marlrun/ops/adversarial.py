"""The loss of discriminators, and what their scores of transitions are worth.

Shapes: R replicas, B transitions, N agents.
"""

import torch
from torch import Tensor

from marlrun.types import Metrics


def cross_entropy(logit: Tensor, is_expert: Tensor) -> Tensor:
    """Return -log D where `is_expert`, and -log(1 - D) elsewhere (Goodfellow et al. 2014).

    The logit is log D - log(1 - D); `is_expert` broadcasts to it.
    """
    # log(1 - D) = log sigmoid(-logit). `softplus` would round by where a number lies in memory.
    return -torch.nn.functional.logsigmoid(torch.where(is_expert, logit, -logit))


def shaped(value: Tensor, next_value: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """Return gamma h(o') - h(o), the shaping by a potential h (Ng, Harada & Russell, ICML 1999).

    Nothing follows where the task has `terminated`: there h(o') counts 0. A time limit is no end.
    """
    return gamma * next_value * ~terminated - value


def balanced_shares(counts: Tensor, is_expert: Tensor) -> Tensor:
    """Return weights [R, B, N] of samples that count, [R, B, N]: one half for each of the two kinds.

    `is_expert` is bool [B, 1]. At the optimum of a loss so weighted D = 1/2 means equally likely.
    """
    kinds = (counts * is_expert, counts * ~is_expert)
    expert, policy = (kind / kind.sum(1, keepdim=True).clamp(min=1) for kind in kinds)
    return (expert + policy) / 2


def discriminator_metrics(
    logit: Tensor, loss: Tensor, counts: Tensor, is_expert: Tensor
) -> Metrics:
    """Return what a discriminator achieves on a batch [R, B, N], by agent [R, N]."""
    share = 2 * balanced_shares(counts, is_expert)
    of_expert, of_policy = share * is_expert, share * ~is_expert
    return {
        "disc/loss": (share * loss).sum(1) / 2,
        "disc/accuracy_expert": (of_expert * (logit > 0)).sum(1),
        "disc/accuracy_policy": (of_policy * (logit < 0)).sum(1),
        "disc/logit_expert": (of_expert * logit).sum(1),
        "disc/logit_policy": (of_policy * logit).sum(1),
    }
