"""adversary: physical deception, agents must not show which landmark is the goal (Lowe et al. 2017)."""

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, discs, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.physics import RuleSet
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Seeds

ADVERSARY = 0
RADIUS = 0.15


class Adversary(ParticleGame):
    """As many good agents as landmarks, one of which is the goal, and an adversary without the goal.

    The adversary is paid -distance to the goal. Every good agent is paid the adversary's distance
    minus the distance of the nearest good agent. All see the landmarks and the other agents from
    where they are, the good agents the goal first. Bodies pass through each other.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        num_good: int,
        horizon: int | None,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/adversary.yaml says what the parameters mean."""
        self._agents = range(1 + num_good)
        self._landmarks = range(1 + num_good, 1 + 2 * num_good)
        agents = [Body("adversary_0", RADIUS), *discs("agent", num_good, Body("", RADIUS))]
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules=rules,
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(num_good, 0.08),
            has_goal=True,
            pairs=[(agent, self._landmarks.stop) for agent in self._agents],
            horizon=horizon,
            discount=discount,
        )

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        others = [other for other in self._agents if other != agent]
        goal = [] if agent == ADVERSARY else [rows.goal]
        return rows.relative([*goal, *self._landmarks, *others], agent)

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        adversary, good = self.world.distance[:1], self.world.distance[1:]
        good_reward = adversary - good.amin(0, keepdim=True)
        return torch.cat((-adversary, good_reward.expand(len(good), -1))), None
