"""The steps of all copies between two updates of an on-policy learner.

Shapes: R replicas, T steps, E copies, N agents, O observation, A actions, S state.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.types import StateDict, Step


class Rollout(NamedTuple):
    """Transitions in order; replicas come first in memory too, so each is summed as if alone."""

    obs: Tensor
    """[R, T, E, N, O]."""
    action: Tensor
    """[R, T, E, N] int64."""
    reward: Tensor
    """[R, T, E, N]."""
    next_obs: Tensor
    """[R, T, E, N, O]: the true next observations, also where an episode ends."""
    terminated: Tensor
    """[R, T, E, N] bool: nothing follows for the agent, for the task ended or the agent left."""
    done: Tensor
    """[R, T, E, N] bool: the agent's next transition belongs to another episode."""
    first: Tensor
    """[R, T, E] bool: an episode begins with this transition."""
    counts: Tensor
    """[R, T, E, N]: 1.0 where the agent acted, 0.0 where it had left."""
    action_mask: Tensor | None
    """[R, T, E, N, A] bool; all True where the agent had left."""
    state: Tensor | None
    """[R, T, E, S]."""
    next_state: Tensor | None
    """[R, T, E, S]."""

    def flat(self) -> "Rollout":
        """Return the same with steps and copies in one axis: [R, T E, ..]."""
        parts = (part if part is None else part.flatten(1, 2) for part in self)
        return Rollout(*parts)  # pyright: ignore  (the two that may be None stay so)


class Recorder:
    """Collects transitions until there are enough for an update."""

    def __init__(self, length: int):
        """Take T, the steps of a rollout."""
        self._length = length
        self._columns: dict[str, list[Tensor]] = {}

    @property
    def is_full(self) -> bool:
        """Whether a rollout is complete."""
        return len(self._columns.get("obs", ())) >= self._length

    def add(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition of every copy; steps are not copied, for nobody writes to them."""
        for name, value in _columns(before, action, after).items():
            self._columns.setdefault(name, []).append(value)

    def take(self) -> Rollout:
        """Return the rollout, and begin anew."""
        stacked = {name: torch.stack(column, 1) for name, column in self._columns.items()}
        self._columns = {}
        return Rollout(**{name: stacked.get(name) for name in Rollout._fields})  # pyright: ignore

    def state_dict(self) -> StateDict:
        """Return what was collected so far."""
        return {name: list(column) for name, column in self._columns.items()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._columns = {name: list(column) for name, column in state.items()}


def _columns(before: Step, action: Tensor, after: Step) -> dict[str, Tensor]:
    """Return a transition by the names of `Rollout`, without what the game does not have."""
    terminated = after.terminated.unsqueeze(-1).expand_as(after.reward)
    done = after.done.unsqueeze(-1).expand_as(after.reward)
    if after.alive is not None:
        terminated, done = terminated | ~after.alive, done | ~after.alive
    counts, action_mask = torch.ones_like(after.reward), before.action_mask
    if before.alive is not None:
        counts = before.alive.float()
        action_mask = None if action_mask is None else action_mask | ~before.alive.unsqueeze(-1)
    optional = {
        "action_mask": action_mask,
        "state": before.state,
        "next_state": after.state,
    }
    return {
        "obs": before.obs,
        "action": action,
        "reward": after.reward,
        "next_obs": after.obs,
        "terminated": terminated,
        "done": done,
        "first": before.first,
        "counts": counts,
    } | {name: value for name, value in optional.items() if value is not None}
