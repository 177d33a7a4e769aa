"""What an on-policy learner draws its minibatches from, and drawing them.

Shapes: R replicas, S samples, B samples of a minibatch, N agents, O observation, A actions, F
numbers of a sample.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.data.rows import Rows


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


class Packing:
    """Samples as rows of floats [R, S, F], so that a minibatch is drawn and handed on at once.

    Critics that see what policies see get the same tensor, which is kept once.
    """

    def __init__(self, samples: Samples):
        """Take samples for their shapes."""
        parts = {name: part for name, part in samples._asdict().items() if part is not None}
        if samples.sight is samples.obs:
            del parts["sight"]
        self._rows = Rows(parts)

    def rows(self, samples: Samples) -> Tensor:
        """Return samples as rows [R, S, F]; whole numbers up to 2**24 are kept exactly."""
        return self._rows.pack(samples._asdict())

    def samples(self, rows: Tensor) -> Samples:
        """Return the samples that rows [R, B, F] hold."""
        parts = self._rows.unpack(rows)
        return Samples(**{"sight": parts["obs"], "allowed": None} | parts)  # pyright: ignore


def shuffled(rows: Tensor, chance: Tensor, number: int) -> Iterator[Tensor]:
    """Yield `number` minibatches [R, B, F] of rows [R, S, F], all of one size; a rest is left out.

    `chance` [R, S] in [0, 1) decides each replica's order.
    """
    replicas, num_samples, _ = rows.shape
    size = num_samples // number
    first = num_samples * torch.arange(replicas, device=chance.device).unsqueeze(1)
    order = chance.argsort(1) + first
    for start in range(0, size * number, size):
        chosen = order[:, start : start + size].flatten()
        yield rows.flatten(0, 1).index_select(0, chosen).unflatten(0, (replicas, size))
