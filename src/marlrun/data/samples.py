"""What an on-policy learner draws its minibatches from, and drawing them.

Shapes: R replicas, S samples, N agents, O observation, A actions.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Samples(NamedTuple):
    """What minibatches are drawn from; [R, S, N, ..] where nothing else is said."""

    obs: Tensor
    """[.., O]: what policies see."""
    sight: Tensor
    """[.., O], or [R, S, state]: what critics see."""
    action: Tensor
    """[.., 1] int64."""
    counts: Tensor
    """[.., 1]: 1.0 where the agent acted, 0.0 where it had left."""
    log_pi: Tensor
    """[.., 1]: log pi_old(a | o)."""
    value: Tensor
    """[.., 1]: V_old(o), normalised."""
    advantage: Tensor
    """[.., 1], normalised."""
    target: Tensor
    """[.., 1], normalised."""
    allowed: Tensor | None
    """[.., A] bool."""


def shuffled(
    samples: Sequence[Tensor | None], chance: Tensor, number: int
) -> Iterator[list[Tensor]]:
    """Yield `number` minibatches of the samples, all of one size; a rest is left out.

    Every tensor of `samples` is [R, S, ..], and so is `chance` [R, S] in [0, 1), which decides each
    replica's order. A tensor that comes twice is drawn once; None is left out.
    """
    replicas, num_samples = chance.shape
    size = num_samples // number
    first = num_samples * torch.arange(replicas, device=chance.device).unsqueeze(1)
    order = chance.argsort(1) + first
    for start in range(0, size * number, size):
        rows = order[:, start : start + size].flatten()
        drawn = {
            id(part): part.flatten(0, 1)[rows].view(replicas, size, *part.shape[2:])
            for part in samples
            if part is not None
        }
        yield [drawn[id(part)] for part in samples if part is not None]
