"""The common part of games with finitely many states that all agents see.

Random numbers are integers of 24 bits, and next states are computed with integers alone, so that
they are the same on every device.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.render import draw_table
from marlrun.types import Step

BITS = 24
MIN_WEIGHT = round(1e-5 * 2**BITS)
"""The weight of a transition is 1.001e-5 and a number from U[0, 1], in units of 2**-24."""


def cumulated(weights: Tensor) -> Tensor:
    """Return sums of transition weights over the last dimension, [.., S] int64 from 24 bits each."""
    return weights.add(MIN_WEIGHT).cumsum(-1, dtype=torch.int64)


def probabilities(sums: Tensor) -> Tensor:
    """Return the probabilities of next states, float64 [.., S], from sums of weights."""
    weights = sums.diff(dim=-1, prepend=torch.zeros_like(sums[..., :1]))
    return weights.double() / sums[..., -1:]


def to_integers(uniform: Tensor) -> Tensor:
    """Return numbers in [0, 1) as multiples of 2**-24, int64 of 24 bits."""
    return (uniform * 2**BITS).long()


class FiniteState:
    """The state of every copy, one of fewer than 2**15, and what all agents observe of it."""

    def __init__(
        self,
        num_replicas: int,
        num_envs: int,
        num_agents: int,
        num_states: int,
        device: torch.device,
    ):
        self.state = torch.zeros(num_replicas, num_envs, dtype=torch.int64, device=device)
        self._num_agents, self._num_states = num_agents, num_states
        self._one_hot = torch.eye(num_states, device=device)

    def move(self, sums: Tensor, chance: Tensor) -> None:
        """Go to the next state; sums of weights are [R, E, S], `chance` int64 [R, E, 1] of 24 bits."""
        mark = (sums[..., -1:] * chance).bitwise_right_shift_(BITS)
        torch.sum(sums <= mark, -1, out=self.state)

    def begin(self, episodes: Episodes, chance: Tensor) -> Step:
        """Go to any state, each equally likely; return a step in which every copy begins."""
        torch.bitwise_right_shift(chance.squeeze(-1) * self._num_states, BITS, out=self.state)
        obs, state = self.observe()
        return episodes.go_on(episodes.over._replace(obs=obs, state=state))

    def observe(self) -> tuple[Tensor, Tensor]:
        """Return observations [R, E, N, S], the same for all agents, and the state [R, E, S], one-hot."""
        state = embedding(self.state, self._one_hot)
        return state.unsqueeze(2).expand(-1, -1, self._num_agents, -1), state

    def draw(self, mode: Literal["ansi", "rgb_array"], replica: int, copy: int) -> str | np.ndarray:
        """Return a picture or text of the numbers of all states, with the present state marked."""
        numbers = np.arange(self._num_states, dtype=np.float64)
        return draw_table(mode, numbers[None, None], int(self.state[replica, copy]))
