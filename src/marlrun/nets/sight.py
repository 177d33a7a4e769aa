"""What a replay keeps of what agents see: observations, and what they may do and who has left.

Shapes: R replicas, E copies, N agents, M = R * N members, T time, B batch, O features, A actions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.nets.masks import forbidden_actions, masked, missing_actions, missing_features
from marlrun.types import Spec, Step


class Parts(NamedTuple):
    """The parts of a trace of sights."""

    obs: Tensor
    """[M, T, B, O]."""
    forbidden: Tensor | None
    """[M, T, B, A] bool, True for an action that an agent may not take; None = nothing is masked."""
    absent: Tensor | None
    """[M, T, B] float: 1.0 where an agent has left; None = nobody leaves."""


class Sight:
    """Packs the sight of all agents in one tensor, whose zeros at padding mean what they should."""

    def __init__(self, spec: Spec, device: torch.device):
        num_masked = max(spec.num_actions) if spec.has_action_mask else 0
        self._sizes = [max(spec.obs_sizes), num_masked, int(spec.agents_leave)]
        self.size = sum(self._sizes)
        """Numbers for each agent."""
        self._missing_features = missing_features(spec, device)
        self._missing_actions = missing_actions(spec, device)

    def of(self, step: Step) -> Tensor:
        """Return what agents see at a step, [R, E, N, size]; where nothing is special, `step.obs`.

        Observations, 1.0 for each action that is forbidden, and 1.0 for an agent that has left.
        """
        parts = [masked(step.obs, self._missing_features, 0.0)]
        forbidden = forbidden_actions(step, self._missing_actions)
        if forbidden is not None:
            # The value of an end, where nothing is allowed, is never used; yet it must be finite.
            parts.append((forbidden & ~forbidden.all(-1, keepdim=True)).float())
        if step.alive is not None:
            parts.append((~step.alive).float().unsqueeze(-1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def parts(self, sight: Tensor) -> Parts:
        """Take a trace of sights [M, T, B, size] apart."""
        obs, forbidden, absent = torch.split(sight, self._sizes, -1)
        has_masks, has_leavers = self._sizes[1:]
        return Parts(
            obs, forbidden > 0 if has_masks else None, absent.squeeze(-1) if has_leavers else None
        )
