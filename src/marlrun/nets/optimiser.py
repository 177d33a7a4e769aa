"""Adam for stacked networks whose members may stop: each is clipped and moved as if alone."""

import torch
from torch import Tensor

from marlrun.types import StateDict

BETAS, EPSILON = (0.9, 0.999), 1e-8


class MemberAdam:
    """Kingma & Ba (2015) on rows [M, P], with a norm, a clock and a stop for every member."""

    def __init__(self, rows: torch.nn.Parameter, max_norm: float | None):
        """Take the parameter, and the length to which a member's gradient is clipped."""
        self._rows, self._max_norm = rows, max_norm
        self._first, self._second = torch.zeros_like(rows.data), torch.zeros_like(rows.data)
        self._steps = torch.zeros(len(rows), 1, device=rows.device)

    def step(self, gradient: Tensor, lr: Tensor, moves: Tensor) -> Tensor:
        """Descend `gradient` [M, P], which is overwritten; return the norms [M, 1] that it had.

        `moves` [R, 1] is 1.0, or 0.0 where a replica's members stay as they are, moments included.
        `lr` is a number in a tensor.
        """
        moves = moves.repeat_interleave(len(self._rows) // len(moves), 0)
        norm = gradient.square().sum(1, keepdim=True).sqrt_()
        if self._max_norm is not None:
            gradient.mul_((self._max_norm / (norm + 1e-6)).clamp_(max=1.0))
        self._steps.add_(moves)
        rates = [(1 - beta) * moves for beta in BETAS]
        self._first.lerp_(gradient, rates[0])
        self._second.lerp_(gradient.square_(), rates[1])
        corrections = [1 - beta ** self._steps.clamp(min=1) for beta in BETAS]
        scale = (self._second / corrections[1]).sqrt_().add_(EPSILON)
        self._rows.sub_(lr * moves * (self._first / corrections[0]).div_(scale))
        return norm

    def state_dict(self) -> StateDict:
        """Return both moments and the steps of every member."""
        return {"first": self._first, "second": self._second, "steps": self._steps}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._first.copy_(state["first"])
        self._second.copy_(state["second"])
        self._steps.copy_(state["steps"])
