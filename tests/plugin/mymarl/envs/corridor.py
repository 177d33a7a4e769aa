"""corridor: all agents must stand at the end of a corridor in the same step.

Shapes: R replicas, E copies, N agents.
"""

import torch
from torch import Tensor

from marlrun.streams import Stream
from marlrun.types import Seeds, Spec, StateDict, Step


class Corridor:
    """Every agent starts in cell 0 and sees its own cell, one-hot.

    Action 0 is a step back, 1 a step on; a step fails with probability `slip`, and walls keep the
    agents in. When all stand in the last cell, each is paid 1 and the episode terminates.
    """

    obs_bounds = 0.0, 1.0

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        num_agents: int,
        length: int,
        slip: float,
        horizon: int,
        discount: float,
    ):
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(length,) * num_agents,
            num_actions=(2,) * num_agents,
            horizon=horizon,
            discount=discount,
        )
        self._slip, self._last = slip, length - 1
        self._random, self._ticks = Stream(seeds, "env", device), 0
        shape = len(seeds), num_envs, num_agents
        self._cell = torch.zeros(shape, dtype=torch.int64, device=device)
        self._clock = torch.zeros(shape[:2], dtype=torch.int64, device=device)

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        return self._begin(torch.ones_like(self._clock, dtype=torch.bool), self._reward_of(False))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        succeeds = self._random.uniform(self._ticks, *action.shape[1:]) >= self._slip
        self._ticks += 1
        self._cell = (self._cell + (2 * action - 1) * succeeds).clamp(0, self._last)
        self._clock = self._clock + 1
        terminated = (self._cell == self._last).all(-1)
        truncated = (self._clock >= self.spec.horizon) & ~terminated
        no = torch.zeros_like(terminated)
        return Step(no, self._obs(), self._reward_of(terminated), terminated, truncated)

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        # What was paid for the last step does not belong to the new episode.
        return self._begin(step.done, step.reward.masked_fill(step.done.unsqueeze(-1), 0.0))

    def state_dict(self) -> StateDict:
        """Return cells, clocks, and the place in the random numbers."""
        return {"cell": self._cell, "clock": self._clock, "ticks": self._ticks}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._cell, self._clock, self._ticks = state["cell"], state["clock"], state["ticks"]

    def _begin(self, first: Tensor, reward: Tensor) -> Step:
        self._cell = self._cell.masked_fill(first.unsqueeze(-1), 0)
        self._clock = self._clock.masked_fill(first, 0)
        no = torch.zeros_like(first)
        return Step(first, self._obs(), reward, no, no)

    def _obs(self) -> Tensor:
        return torch.nn.functional.one_hot(self._cell, self._last + 1).float()

    def _reward_of(self, terminated: Tensor | bool) -> Tensor:
        paid = torch.zeros_like(self._clock, dtype=torch.bool) | terminated
        return paid.unsqueeze(-1).expand(self._cell.shape).float()
