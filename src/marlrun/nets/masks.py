"""Actions that an agent does not have, where agents have different numbers of them."""

import torch
from torch import Tensor

from marlrun.types import Spec


def missing_actions(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, A] of the actions that an agent does not have; None where all are equal."""
    if len(set(spec.num_actions)) == 1:
        return None
    sizes = torch.tensor(spec.num_actions, device=device)
    return torch.arange(max(spec.num_actions), device=device) >= sizes[:, None]
