"""Means and variances of all members, in one pass over the samples.

Shapes: M members, B samples, F features.
"""

import torch
from torch import Tensor

from marlrun.types import StateDict


def mean_and_variance(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return both [M, 1, F] of x [M, B, F]; `weight` [M, B, 1] sums to one, member by member."""
    mean = (weight * x).sum(1, keepdim=True)
    return mean, (weight * (x - mean).square()).sum(1, keepdim=True)


class RunningMoments:
    """Mean and variance of all samples so far, merged batch by batch (Chan et al. 1979)."""

    def __init__(self, num_members: int, num_features: int, device: torch.device):
        """Begin with mean 0 and variance 1, which the first batch replaces."""
        self._mean = torch.zeros(num_members, 1, num_features, device=device)
        self._variance = torch.ones_like(self._mean)
        self._count = torch.zeros(num_members, 1, 1, device=device)

    def add(self, x: Tensor, counts: Tensor) -> None:
        """Take in samples [M, B, F], of which those count where `counts` [M, B, 1] is 1."""
        total = counts.sum(1, keepdim=True)
        mean, variance = mean_and_variance(x, counts / total.clamp(min=1))
        together = self._count + total
        share = total / together.clamp(min=1)
        shift = mean - self._mean
        spread = share * (1 - share) * shift.square()
        self._variance = (1 - share) * self._variance + share * variance + spread
        self._mean = self._mean + share * shift
        self._count = together

    def normalise(self, x: Tensor) -> Tensor:
        """Return (x - mean) / deviation of x [M, B, F]."""
        return (x - self._mean) / self._deviation

    def restore(self, x: Tensor) -> Tensor:
        """Return x deviation + mean, the inverse of `normalise`."""
        return x * self._deviation + self._mean

    @property
    def _deviation(self) -> Tensor:
        return (self._variance + 1e-8).sqrt()

    def state_dict(self) -> StateDict:
        """Return the moments and the number of samples."""
        return {"mean": self._mean, "variance": self._variance, "count": self._count}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._mean, self._variance = state["mean"].clone(), state["variance"].clone()
        self._count = state["count"].clone()
