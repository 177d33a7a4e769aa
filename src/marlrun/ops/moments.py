"""Means and variances over the samples of each agent, or of all agents together.

Shapes: R replicas, B samples, N agents, F features; x [R, B, N, F]. `counts` [R, B, N, 1] is 1.0
where a sample counts, and 0.0 elsewhere. Agents are taken together where `shared`.
"""

import torch
from torch import Tensor

from marlrun.types import StateDict


def shares(counts: Tensor, shared: bool) -> Tensor:
    """Return weights [R, B, N, 1] that sum to one over the samples that count."""
    return counts / counts.sum(_axes(shared), keepdim=True).clamp(min=1)


def mean_and_variance(x: Tensor, counts: Tensor, shared: bool) -> tuple[Tensor, Tensor]:
    """Return both, [R, 1, N, F], or [R, 1, 1, F] where agents are taken together."""
    share, axes = shares(counts, shared), _axes(shared)
    mean = (share * x).sum(axes, keepdim=True)
    return mean, (share * (x - mean).square()).sum(axes, keepdim=True)


def normalised(x: Tensor, counts: Tensor, shared: bool) -> Tensor:
    """Return x [R, B, N, F] with mean 0 and deviation 1; about 0 where all that count are equal."""
    x = x - mean_and_variance(x, counts, shared)[0]
    # Once more: of equal numbers only the rounding of their mean is left, which would become 1.
    mean, variance = mean_and_variance(x, counts, shared)
    return (x - mean) / (variance.sqrt() + 1e-8)


class RunningMoments:
    """Mean and variance of all samples so far, merged batch by batch (Chan et al. 1979)."""

    def __init__(
        self,
        num_replicas: int,
        num_agents: int,
        num_features: int,
        device: torch.device,
        *,
        shared: bool,
    ):
        """Begin with mean 0 and variance 1, which the first batch replaces."""
        self._shared = shared
        shape = (num_replicas, 1, 1 if shared else num_agents)
        self._mean = torch.zeros(*shape, num_features, device=device)
        self._variance = torch.ones_like(self._mean)
        self._count = torch.zeros(*shape, 1, device=device)

    def add(self, x: Tensor, counts: Tensor) -> None:
        """Take in the samples that count."""
        mean, variance = mean_and_variance(x, counts, self._shared)
        total = counts.sum(_axes(self._shared), keepdim=True)
        together = self._count + total
        share = total / together.clamp(min=1)
        shift = mean - self._mean
        spread = share * (1 - share) * shift.square()
        self._variance.copy_((1 - share) * self._variance + share * variance + spread)
        self._mean.copy_(self._mean + share * shift)
        self._count.copy_(together)

    def normalise(self, x: Tensor) -> Tensor:
        """Return (x - mean) / deviation."""
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
        self._mean.copy_(state["mean"])
        self._variance.copy_(state["variance"])
        self._count.copy_(state["count"])


def _axes(shared: bool) -> tuple[int, ...]:
    return (1, 2) if shared else (1,)
