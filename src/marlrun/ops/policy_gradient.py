"""Advantages and the clipped losses of proximal policy optimisation.

Shapes: R replicas, T steps, E copies, N agents; those of the losses are the caller's.
"""

import torch
from torch import Tensor


def generalised_advantages(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    done: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Return A_t = delta_t + gamma lam A_{t+1} [R, T, E, N] (Schulman et al., ICLR 2016, eq. 16).

    delta_t = r_t + gamma V(o_{t+1}) - V(o_t). Nothing follows where the task has `terminated`;
    where the clock ran out V(o_{t+1}) does. The sum is cut wherever an episode is `done`.
    All arguments are [R, T, E, N].
    """
    delta = reward + gamma * next_value * ~terminated - value
    keep = gamma * lam * ~done
    advantages, following = torch.empty_like(delta), torch.zeros_like(delta[:, 0])
    for t in reversed(range(delta.shape[1])):
        following = torch.addcmul(delta[:, t], keep[:, t], following, out=advantages[:, t])
    return advantages


def clipped_policy_loss(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Return -min(rho A, clip(rho, 1 - clip, 1 + clip) A) (Schulman et al. 2017, eq. 7).

    rho = pi(a | o) / pi_old(a | o), given by its logarithm.
    """
    # As rho A, but never above (1 + clip) A where A is positive, nor above (1 - clip) A where negative.
    bound = advantage + clip * advantage.abs()
    return -(log_ratio.exp() * advantage).clamp(max=bound)


def value_loss(value: Tensor, old: Tensor, target: Tensor, clip: float | None) -> Tensor:
    """Return (V - target)^2 / 2, or the larger of it and that of V clipped to `old` +- `clip`."""
    error = value - target
    loss = error.square()
    if clip is not None:
        # A clipped V moves nothing; one that is not clipped has no excess, and its loss is `loss`.
        away = (value - old).detach()
        excess = away - away.clamp(-clip, clip)
        loss = loss.clamp(min=(error.detach() - excess).square())
    return loss / 2


def divergence(log_ratio: Tensor) -> Tensor:
    """Return rho - 1 - log rho, whose mean under pi_old estimates KL(pi_old, pi); never negative."""
    return log_ratio.expm1() - log_ratio
