"""spread: cooperative navigation, agents cover all landmarks (Lowe et al. 2017; mpe2's and MA-AIRL's).

Which agent goes where is theirs to find out.
"""

from functools import reduce
from itertools import product

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, discs, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.physics import RULES, RuleSet
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Seeds

RADIUS = 0.15
NEAR = 0.1
"""A landmark is covered if an agent is so near to it."""


class Spread(ParticleGame):
    """As many landmarks as agents; the team is paid for short ways from landmarks to nearest agents.

    An agent sees its velocity, under mpe2's rules its position, where all landmarks and the other
    agents are from there, and the messages of the others, which are always silent: zeros. The early
    end: all landmarks are covered.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        num_agents: int,
        local_ratio: float | None,
        early_end: bool | None,
        horizon: int | None,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/spread.yaml says what the parameters mean."""
        self._is_mpe2 = rules == "mpe2"
        if local_ratio is not None and not self._is_mpe2:
            raise ValueError(f"env.local_ratio={local_ratio}: expected null under rules={rules}")
        self._local_ratio = 0.5 if local_ratio is None else local_ratio
        self._ends_early = RULES[rules].early_end if early_end is None else early_end
        self._agents = range(num_agents)
        self._landmarks = range(num_agents, 2 * num_agents)
        agents = discs("agent", num_agents, Body("", RADIUS, collides=True))
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules=rules,
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(num_agents, 0.05),
            pairs=list(product(self._landmarks, self._agents)),
            horizon=horizon,
            discount=discount,
            symmetries=("landmarks", "others", "arena"),
        )

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        others = [other for other in self._agents if other != agent]
        return [
            *rows.velocities([agent]),
            *(rows.positions([agent]) if self._is_mpe2 else ()),
            *rows.relative(self._landmarks, agent),
            *rows.relative(others, agent),
            *rows.constants(*[0.0] * (2 * len(others))),
        ]

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        nearest = self._to_landmarks().amin(1)
        way = reduce(torch.add, nearest)
        reward = self._mpe2_reward(way) if self._is_mpe2 else self._ma_airl_reward(way)
        if not self._ends_early:
            return reward, None
        farthest = nearest.amax(0)
        return reward, farthest < NEAR if self._is_mpe2 else farthest <= NEAR

    def _to_landmarks(self) -> Tensor:
        """Return the distances from landmarks to agents, [L, N, M]."""
        number = len(self._agents)
        return self.world.distance[-(number**2) :].view(number, number, -1)

    def _mpe2_reward(self, way: Tensor) -> Tensor:
        """Return a mean of the team's reward, -way, and each agent's, -1 for every agent it touches."""
        touches = self.world.count_touches()
        return touches.mul_(-self._local_ratio).sub_(way, alpha=1 - self._local_ratio)

    def _ma_airl_reward(self, way: Tensor) -> Tensor:
        """Return the sum of all agents' own rewards, -way - depth, [1, M].

        An agent's depth is how far the discs of other agents reach into its own, and its diameter,
        for the authors' code counts its overlap with itself.
        """
        number = len(self._agents)
        overlap = self.world.overlap()
        depth = reduce(torch.add, overlap) * 2 if len(overlap) else torch.zeros_like(way)
        return -(way * number + depth + number * 2 * RADIUS).unsqueeze(0)
