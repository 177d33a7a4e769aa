"""Losses of policy distillation: how far a student's values are from its teacher's.

Rusu et al., "Policy Distillation", ICLR 2016, arXiv 1511.06295, section 3; the temperature of
Omidshafiei et al., ICML 2017, phase II, divides the teacher's values alone.

Shapes: T steps and B traces of a minibatch, A actions; whatever stands before is the caller's.
"""

from typing import Literal

import torch
from torch import Tensor

Loss = Literal["kl", "mse", "nll"]
FORBIDDEN = -1e9
"""The value of an action that must not be taken, of both: its probability is 0, and 0 times its
logarithm is 0, which it would not be for -inf."""


def distillation_loss(
    q: Tensor, teacher_q: Tensor, mask: Tensor, loss: Loss, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the loss [..], a mean over steps, and its gradient by the student's q [.., T, B, A].

    With p = softmax(teacher_q / temperature) and s = softmax(q), of every step that counts:

    kl: KL(p || s) = sum_a p log p - p log s. mse: sum_a (q - teacher_q)**2. nll: -log s(a*), where a*
    is the teacher's best action, the first of several; it is what kl becomes as the temperature
    goes to 0. `mask` [.., T, B] is 0.0 at padding, which the mean leaves out.
    """
    if loss == "mse":
        error = q - teacher_q
        value, grad = error.square().sum(-1), 2 * error
    else:
        p = _target(teacher_q, loss, temperature)
        value = (torch.xlogy(p, p) - p * q.log_softmax(-1)).sum(-1)
        grad = q.softmax(-1) - p
    weight = mask / mask.sum((-2, -1), keepdim=True).clamp(min=1)
    return (value * weight).sum((-2, -1)), grad * weight.unsqueeze(-1)


def _target(teacher_q: Tensor, loss: Loss, temperature: float) -> Tensor:
    """Return the probabilities that a student is to have, [.., A]."""
    if loss == "nll":
        best = teacher_q.argmax(-1, keepdim=True)
        return torch.zeros_like(teacher_q).scatter_(-1, best, 1.0)
    # Divided by a small temperature, a value may be beyond single precision, its difference may not.
    below_best = teacher_q - teacher_q.amax(-1, keepdim=True)
    return (below_best / temperature).softmax(-1)
