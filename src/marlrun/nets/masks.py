"""Masks of the padding where agents differ: actions and features of observations that one lacks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.types import Spec


def missing_actions(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, A] of the actions that an agent does not have; None where all are equal."""
    return _beyond(spec.num_actions, device)


def missing_features(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, O] of the features that an agent does not observe; None where all are equal."""
    return _beyond(spec.obs_sizes, device)


def masked(x: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """Return `x` with `value` where the mask is True, and `x` itself where there is no mask."""
    return x if mask is None else x.masked_fill(mask, value)


def _beyond(sizes: Sequence[int], device: torch.device) -> Tensor | None:
    """Return a mask [N, largest size] of what is beyond each agent's size."""
    if len(set(sizes)) == 1:
        return None
    return torch.arange(max(sizes), device=device) >= torch.tensor(sizes, device=device)[:, None]
