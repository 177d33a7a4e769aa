"""What a picture says of an episode: how many steps it is old, what agents got, whether it ended."""

from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.envs.common.episodes import Episodes
from marlrun.types import Step


class Moment(NamedTuple):
    """How far the episode of one copy is."""

    step: int
    returns: list[float]
    """Each agent's sum of rewards since the episode, or the window, began; NaN = not known."""
    terminated: bool


class Scores:
    """Keeps each agent's sum of rewards from the first picture on.

    A game that draws nothing does not pay for it. Nobody knows what agents got before the first
    picture: the returns of an episode that was going on then are NaN to its end.
    """

    def __init__(self, episodes: Episodes):
        self._episodes = episodes
        self._returns: Tensor | None = None
        self._terminated: Tensor = episodes.over.truncated

    def add(self, after: Step) -> Step:
        """Return the step after an action; add its rewards if there was a picture."""
        if self._returns is not None:
            self._returns, self._terminated = self._returns + after.reward, after.terminated
        return after

    def begin(self, step: Step) -> Step:
        """Return a step that was restarted; returns begin again where it is the first."""
        if self._returns is not None:
            self._returns = self._returns.masked_fill(step.first.unsqueeze(-1), 0.0)
            self._terminated = step.terminated
        return step

    def forget(self) -> None:
        """Keep nothing until the next picture, because the game has loaded another state."""
        self._returns, self._terminated = None, self._episodes.over.truncated

    def look(self, replica: int, copy: int) -> Moment:
        """Return how far the episode of a copy is."""
        elapsed = self._episodes.elapsed()
        if self._returns is None:
            zeros = self._episodes.over.reward
            self._returns = zeros.masked_fill((elapsed > 0).unsqueeze(-1), torch.nan)
        step, terminated = elapsed[replica, copy], self._terminated[replica, copy]
        return Moment(int(step), self._returns[replica, copy].tolist(), bool(terminated))
