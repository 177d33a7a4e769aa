"""doors: two agents in a corridor leave it by a hatch at its beginning or by a door at its end.

Shapes: R replicas, E copies, N agents, A actions.
"""

import torch
from torch import Tensor

from marlrun.streams import Stream
from marlrun.types import Seeds, Spec, StateDict, Step

BACK, ON, HATCH, FLY = range(4)


class Doors:
    """Both agents start in cell 0 and see their own cell, one-hot, the first also whether the other is
    there.

    Actions: 0 a step back, forbidden in cell 0; 1 a step on; 2 through the hatch, allowed in cell 0
    alone; 3 to fly, never allowed. Only the first agent has the last two. A step on fails with
    probability `slip`. The hatch pays `near` and the last cell `far`, and who is paid has left.
    The episode terminates when both have left. Who has left sees what stands in cell 0.
    """

    obs_bounds = 0.0, 1.0

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        length: int,
        near: float,
        far: float,
        slip: float,
        horizon: int,
        discount: float,
    ):
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=2,
            agent_names=("walker", "follower"),
            obs_sizes=(length + 1, length),
            num_actions=(4, 2),
            horizon=horizon,
            discount=discount,
            has_action_mask=True,
            agents_leave=True,
        )
        self._near, self._far, self._slip, self._last = near, far, slip, length - 1
        self._random, self._ticks = Stream(seeds, "env", device), 0
        shape = len(seeds), num_envs, 2
        self._cell = torch.zeros(shape, dtype=torch.int64, device=device)
        self._alive = torch.ones(shape, dtype=torch.bool, device=device)
        self._clock = torch.zeros(shape[:2], dtype=torch.int64, device=device)

    def reset(self) -> Step:
        """Begin an episode in every copy."""
        return self._begin(torch.ones_like(self._clock, dtype=torch.bool))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]; who has left does nothing."""
        self._refuse_forbidden(action)
        succeeds = self._random.uniform(self._ticks, *action.shape[1:]) >= self._slip
        self._ticks += 1
        moves = (action == ON).long() * succeeds - (action == BACK).long()
        self._cell = torch.where(self._alive, self._cell + moves, 0)
        by_hatch = self._alive & (action == HATCH)
        by_door = self._alive & (self._cell == self._last)
        reward = self._near * by_hatch + self._far * by_door
        self._alive = self._alive & ~by_hatch & ~by_door
        self._cell = self._cell.masked_fill(~self._alive, 0)
        self._clock = self._clock + 1
        terminated = ~self._alive.any(-1)
        truncated = (self._clock >= self.spec.horizon) & ~terminated
        return self._step(torch.zeros_like(terminated), reward.float(), terminated, truncated)

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        begun = self._begin(step.done)
        return begun._replace(reward=step.reward.masked_fill(step.done.unsqueeze(-1), 0.0))

    def state_dict(self) -> StateDict:
        """Return cells, who is there, clocks, and the place in the random numbers."""
        return {
            "cell": self._cell,
            "alive": self._alive,
            "clock": self._clock,
            "ticks": self._ticks,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._cell, self._alive = state["cell"], state["alive"]
        self._clock, self._ticks = state["clock"], state["ticks"]

    def _begin(self, first: Tensor) -> Step:
        self._cell = self._cell.masked_fill(first.unsqueeze(-1), 0)
        self._alive = self._alive | first.unsqueeze(-1)
        self._clock = self._clock.masked_fill(first, 0)
        no = torch.zeros_like(first)
        return self._step(first, torch.zeros(self._cell.shape, device=first.device), no, no)

    def _step(self, first: Tensor, reward: Tensor, terminated: Tensor, truncated: Tensor) -> Step:
        cells = torch.nn.functional.one_hot(self._cell, self._last + 1)
        other = self._alive.flip(-1) & torch.tensor([True, False], device=first.device)
        obs = torch.cat((cells, other.unsqueeze(-1)), -1).float()
        masks = {"alive": self._alive, "action_mask": self._allowed()}
        return Step(first, obs, reward, terminated, truncated, **masks)

    def _allowed(self) -> Tensor:
        """Return what agents may do, [R, E, N, A]: nothing once they have left."""
        at_start, yes = self._cell == 0, torch.ones_like(self._alive)
        mask = torch.stack((~at_start, yes, at_start, ~yes), -1)
        mask[..., 1, HATCH:] = False
        return mask & self._alive.unsqueeze(-1)

    def _refuse_forbidden(self, action: Tensor) -> None:
        taken = self._allowed().gather(-1, action.unsqueeze(-1)).squeeze(-1)
        if (self._alive & ~taken).any():
            raise ValueError("doors: expected actions that are allowed")
