"""Transitions without an order: what discriminators and behaviour cloning learn from.

Shapes: R replicas, B transitions, N agents, O observation, A actions.
"""

from typing import NamedTuple

from torch import Tensor

from marlrun.data.rollout import Rollout


class Transitions(NamedTuple):
    """Joint transitions; [R, B, N, ..]."""

    obs: Tensor
    """[.., O]."""
    action: Tensor
    """[..] int64."""
    next_obs: Tensor
    """[.., O]: the true next observation, also where an episode ends."""
    terminated: Tensor
    """[..] bool: nothing follows for the agent. A time limit is none: the next observation follows."""
    counts: Tensor
    """[..]: 1.0 where the agent acted, 0.0 where it had left."""
    action_mask: Tensor | None
    """[.., A] bool: what the agent was allowed to do."""

    @property
    def parts(self) -> dict[str, Tensor]:
        """What there is, by name."""
        return {name: part for name, part in self._asdict().items() if part is not None}


def transitions_of(rollout: Rollout) -> Transitions:
    """Return the transitions of a rollout [R, T, E, ..], steps and copies in one axis: B = T E."""
    samples = rollout.flat()
    return Transitions(
        samples.obs,
        samples.action,
        samples.next_obs,
        samples.terminated,
        samples.counts,
        samples.action_mask,
    )
