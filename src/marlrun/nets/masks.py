"""Masks: the padding where agents differ, and the actions that an agent may not take now."""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.types import Spec, Step


def missing_actions(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, A] of the actions that an agent does not have; None where all are equal."""
    return _beyond(spec.num_actions, device)


def missing_features(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, O] of the features that an agent does not observe; None where all are equal."""
    return _beyond(spec.obs_sizes, device)


def masked(x: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """Return `x` with `value` where the mask is True, and `x` itself where there is no mask."""
    return x if mask is None else x.masked_fill(mask, value)


def forbidden_actions(step: Step, missing: Tensor | None) -> Tensor | None:
    """Return a mask [R, E, N, A] of the actions that agents may not take; None where none is masked.

    `missing` is that of `missing_actions`; what an agent lacks it may not take either. A row may be
    all True where nothing is to be done: the agent has left, or the task ended.
    """
    if step.action_mask is None:
        return None
    return ~step.action_mask if missing is None else ~step.action_mask | missing


def uniform_action(numbers: Tensor, forbidden: Tensor) -> Tensor:
    """Return the actions [...] that numbers [...] in [0, 1) choose, uniform among those not forbidden.

    `forbidden` is bool [..., A]; action 0 where it is all True. Where it is all False that is the
    number times A, rounded down.
    """
    allowed = ~forbidden
    ordinal = (numbers * allowed.sum(-1)).long().unsqueeze(-1)
    return (allowed.cumsum(-1) > ordinal).byte().argmax(-1)


def _beyond(sizes: Sequence[int], device: torch.device) -> Tensor | None:
    """Return a mask [N, largest size] of what is beyond each agent's size."""
    if len(set(sizes)) == 1:
        return None
    return torch.arange(max(sizes), device=device) >= torch.tensor(sizes, device=device)[:, None]
