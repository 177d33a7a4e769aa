"""TD errors and advantages where the long-run average reward counts and values are relative.

Zhang et al. (ICML 2018), algorithms 1 and 2; every agent has a reward r^i, an estimate mu^i of its
average, and critics of its own. Shapes are the caller's.
"""

import torch
from torch import Tensor


def differential_td(
    reward: Tensor, average: Tensor, value: Tensor, next_value: Tensor, goes_on: Tensor
) -> Tensor:
    """Return r - mu + v' - v; v' counts where `goes_on` is 1.0, not where it is 0.0.

    Algorithms 1 and 2: `value` is Q(s, a) or V(s). Algorithm 2's actor has the modelled team
    reward in the place of r.
    """
    return (reward - average).addcmul_(next_value, goes_on).sub_(value)


def score(action: Tensor, probabilities: Tensor) -> Tensor:
    """Return the gradient of log pi(a) by the logits of a softmax, 1{a} - pi: [..., N, A]."""
    # Agents last in memory: along a few actions a vector unit has nothing to do.
    actions = torch.arange(probabilities.shape[-1], device=action.device).unsqueeze(-1)
    taken = torch.empty_like(probabilities.mT)
    return torch.eq(action.unsqueeze(-2), actions, out=taken).mT.sub_(probabilities)


def advantage(own_values: Tensor, scores: Tensor) -> Tensor:
    """Return A^i = Q(s, a) - sum_b pi^i(b | s) Q(s, b, a^-i): [..., N] (algorithm 1).

    `scores` are 1{a} - pi, so that it is sum_b scores Q(s, b, a^-i), and whatever is the same for
    all own actions may be missing in `own_values` [..., N, A].
    """
    return (scores * own_values).sum(-1)
