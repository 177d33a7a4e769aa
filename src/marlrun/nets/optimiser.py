"""Adam for stacked networks whose members may stop: each is clipped and moved as if alone."""

import torch
from torch import Tensor

from marlrun.types import StateDict


class MemberAdam:
    """Kingma & Ba (2015) on rows [M, P]: every member has a norm, every replica a clock and a stop.

    The kernel is that of `torch.optim.Adam(fused=True)`. It takes 16 numbers at a time and rounds a
    rest otherwise, so P should be a multiple of 16.
    """

    def __init__(self, rows: torch.nn.Parameter, max_norm: float | None, l2: float = 0.0):
        """Take the parameter, and the length to which a member's gradient is clipped.

        `l2` times the parameter is added to the gradient, as `torch.optim.Adam` decays weights.
        """
        self._rows, self._max_norm, self._l2 = rows, max_norm, l2
        self._first, self._second = torch.zeros_like(rows.data), torch.zeros_like(rows.data)
        self._steps = torch.zeros(len(rows), 1, device=rows.device)

    def step(self, gradient: Tensor, lr: Tensor, waits: Tensor) -> Tensor:
        """Descend `gradient` [M, P], which is overwritten; return the norms [M, 1] that it had.

        `waits` [R, 1] is 0.0, or 1.0 where a replica's members stay as they are, moments included.
        `lr` is a number in a tensor.
        """
        norm = gradient.square().sum(1, keepdim=True).sqrt_()
        if self._max_norm is not None:
            gradient.mul_((self._max_norm / (norm + 1e-6)).clamp_(max=1.0))
        self._steps.add_(1).view(len(waits), -1).sub_(waits)
        parts = (self._rows.data, gradient, self._first, self._second, self._steps)
        for replica, wait in enumerate(waits):
            rows, grad, first, second, steps = (part.chunk(len(waits))[replica] for part in parts)
            torch._fused_adam_(  # pyright: ignore  (torch.optim's own call; not in the stubs)
                [rows],
                [grad],
                [first],
                [second],
                [],
                [steps[0]],
                lr=lr,
                beta1=0.9,
                beta2=0.999,
                weight_decay=self._l2,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
                # Where a gradient is said to be infinite, nothing moves.
                found_inf=wait,
            )
        return norm

    def state_dict(self) -> StateDict:
        """Return both moments and the steps of every member."""
        return {"first": self._first, "second": self._second, "steps": self._steps}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._first.copy_(state["first"])
        self._second.copy_(state["second"])
        self._steps.copy_(state["steps"])
