"""One-step Q-learning: targets, and the hysteretic loss of the errors. Shapes are the caller's."""

from typing import Literal

import torch
from torch import Tensor

Form = Literal["squared", "linear"]


def q_learning_target(reward: Tensor, end: Tensor, next_value: Tensor, gamma: Tensor) -> Tensor:
    """Return r + gamma (1 - end) v', all of one shape but gamma (Watkins 1989).

    `end` is 1.0 where the value of the next observation must not be bootstrapped.
    """
    return torch.addcmul(reward, next_value - end * next_value, gamma)


def double_value(q: Tensor, q_choice: Tensor) -> Tensor:
    """Return Q(argmax_a Q_choice) (van Hasselt et al. 2016): [..., A] twice -> [...]."""
    return q.gather(-1, q_choice.argmax(-1, keepdim=True)).squeeze(-1)


def strictness(temperature: Tensor, leniency: float) -> Tensor:
    """Return exp(-K T) [...], the share of negative errors that a lenient agent learns from.

    Palmer et al. (AAMAS 2018) ignore a negative error with probability l = 1 - exp(-K T), T being
    the temperature [...] of its state-action pair and K the `leniency`. To learn from all of them
    with the weight 1 - l is the same in the mean, needs no random number and has less noise; so
    leniency is a hysteresis that each pair outgrows by itself.
    """
    return torch.exp(-leniency * temperature)


def hysteretic_loss(
    delta: Tensor,
    mask: Tensor,
    beta: Tensor | float,
    form: Form,
    count: int,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the loss [...] and its gradient by Q [..., T, B] for TD errors `delta` [..., T, B].

    Negative errors count less, so that mates' exploration is forgiven (Matignon et al., IROS 2007;
    Omidshafiei et al., ICML 2017, and their code).

    squared: d = max(beta delta, delta), loss = mean d**2 (a negative error's gradient is scaled by
    beta**2). linear: the gradient of mean delta**2 with negative errors scaled by beta. `mask` is
    0.0 at padding; the mean is the sum over the last two axes over `count`, which includes padding
    as in the authors' code. delta = target - Q, hence the gradient's sign.

    `weight` [..., T, B] scales the gradient of each negative error besides (see `strictness`).
    """
    scale = beta * beta if form == "squared" else beta
    if weight is not None:
        scale = scale * weight
    weighted = torch.maximum(delta, scale * delta) * mask
    return (weighted * delta).sum((-2, -1)) / count, weighted * (-2 / count)
