"""What the agents of one replica see, do and earn in an evaluation, kept as whole episodes."""

import torch
from torch import Tensor

from marlrun.data.demonstrations import Episode
from marlrun.types import Step


class Recording:
    """Takes in the transitions of all copies; `close` makes episodes of them."""

    def __init__(self, replica: int):
        """Take the replica that is watched."""
        self.replica = replica
        self.episodes: list[Episode] = []
        self._before: list[Step] = []
        self._actions: list[Tensor] = []
        self._after: list[Step] = []

    def add(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition of every copy, on the CPU."""
        self._before.append(self._part(before))
        self._actions.append(action[self.replica].cpu())
        self._after.append(self._part(after))

    def close(self) -> None:
        """Keep the first episode of every copy, which all have ended, and begin anew."""
        ends = torch.stack([after.done for after in self._after]).int()
        last = ends.argmax(0)
        self.episodes += [self._episode(copy, int(last[copy]) + 1) for copy in range(len(last))]
        self._before, self._actions, self._after = [], [], []

    def _part(self, step: Step) -> Step:
        parts = (None if part is None else part[self.replica].cpu() for part in step)
        return Step(*parts)  # pyright: ignore[reportArgumentType]

    def _episode(self, copy: int, length: int) -> Episode:
        """Return the first `length` steps of a copy."""
        before, after = self._before[:length], self._after[:length]
        steps, last = [*before, after[-1]], after[-1]
        alive = [step.alive[copy] for step in steps if step.alive is not None]
        masks = [step.action_mask[copy] for step in before if step.action_mask is not None]
        return Episode(
            obs=torch.stack([step.obs[copy] for step in steps]),
            action=torch.stack([action[copy] for action in self._actions[:length]]),
            reward=torch.stack([step.reward[copy] for step in after]),
            terminated=bool(last.terminated[copy]),
            truncated=bool(last.truncated[copy]),
            alive=torch.stack(alive) if alive else None,
            action_mask=torch.stack(masks) if masks else None,
        )
