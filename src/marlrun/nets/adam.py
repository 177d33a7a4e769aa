"""Adam over stacked parameters: one fused kernel for all members."""

import torch
from torch import Tensor

from marlrun.types import StateDict


class Adam:
    """Kingma & Ba (2015) on one tensor of parameters; elementwise, so members never mix.

    The kernel is that of `torch.optim.Adam(fused=True)`, whose wrapper costs more than its work on
    nets of this size.
    """

    def __init__(self, parameters: Tensor, lr: float):
        self.lr = lr
        self._lists = [[parameters], [torch.zeros_like(parameters)]]
        self.gradient = self._lists[1][0]
        """What `step` descends; shaped like the parameters."""
        self._moments = torch.zeros(2, *parameters.shape, device=parameters.device)
        self._steps = torch.zeros((), device=parameters.device)
        self._lists += [[moment] for moment in self._moments] + [[], [self._steps]]

    def step(self) -> None:
        """Move the parameters along `gradient`."""
        self._steps.add_(1)
        torch._fused_adam_(  # pyright: ignore  (torch.optim's own call; not in the stubs)
            *self._lists,
            lr=self.lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> StateDict:
        """Return both moments and the number of steps."""
        first, second = self._moments
        return {"first": first, "second": second, "steps": self._steps}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        for moment, name in zip(self._moments, ("first", "second"), strict=True):
            moment.copy_(state[name])
        self._steps.copy_(state["steps"])
