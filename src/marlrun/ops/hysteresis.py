"""The hysteretic loss: negative TD errors count less, so that mates' exploration is forgiven.

Matignon et al. (IROS 2007); Omidshafiei et al. (ICML 2017) and their code. Shapes are the
caller's; the mean runs over the last two axes, padding included, as in the authors' code.
"""

from typing import Literal

import torch
from torch import Tensor

Form = Literal["squared", "linear"]


def hysteretic_loss(
    delta: Tensor, mask: Tensor, beta: Tensor | float, form: Form
) -> tuple[Tensor, Tensor]:
    """Return the loss [...] and its gradient by Q [..., T, B] for TD errors `delta` [..., T, B].

    squared: d = max(beta delta, delta), loss = mean d**2 (a negative error's gradient is scaled by
    beta**2). linear: the gradient of mean delta**2 with negative errors scaled by beta. `mask` is
    0.0 at padding. delta = target - Q, hence the gradient's sign.
    """
    scale = beta * beta if form == "squared" else beta
    weighted = torch.maximum(delta, scale * delta) * mask
    count = delta.shape[-1] * delta.shape[-2]
    return (weighted * delta).sum((-2, -1)) / count, weighted * (-2 / count)
