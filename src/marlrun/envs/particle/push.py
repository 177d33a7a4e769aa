"""push: an adversary keeps an agent away from its goal (Lowe et al. 2017; keep-away in MA-AIRL)."""

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.physics import RuleSet
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Seeds

ADVERSARY, GOOD = 0, 1
LANDMARKS = range(2, 4)
RADIUS = 0.05


class Push(ParticleGame):
    """The good agent is paid -distance to the goal, one of two landmarks.

    The adversary is paid the good agent's distance minus its own, so it does best where it stands
    in the way. The good agent sees its velocity, the goal, its own colour, which is the goal's,
    both landmarks, their colours, and the adversary. The adversary sees its velocity, the
    landmarks and the good agent; under ma_airl's rules the goal too, before the landmarks.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        horizon: int | None,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/push.yaml says what the parameters mean."""
        self._is_mpe2 = is_mpe2 = rules == "mpe2"
        speed = None if is_mpe2 else 2.0
        agents = [
            Body("adversary_0", RADIUS, collides=True, mass=1 if is_mpe2 else 5, max_speed=speed),
            Body("agent_0", RADIUS, collides=True, max_speed=speed),
        ]
        goal = LANDMARKS.stop
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules=rules,
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(2, RADIUS, reach=1.0 if is_mpe2 else 0.8),
            has_goal=True,
            pairs=[(ADVERSARY, goal), (GOOD, goal)],
            horizon=horizon,
            discount=discount,
            symmetries=("landmarks", "arena"),
        )

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        velocity, places = rows.velocities([agent]), rows.relative(LANDMARKS, agent)
        goal, other = rows.relative([rows.goal], agent), rows.relative([1 - agent], agent)
        if agent == ADVERSARY:
            return [*velocity, *([] if self._is_mpe2 else goal), *places, *other]
        own_colour = [
            *rows.constants(0.25),
            *(rows.by_goal(landmark, 0.25, 0.5) for landmark in range(2)),
        ]
        colours = rows.constants(0.1, 0.9, 0.1, 0.1, 0.1, 0.9)
        return [*velocity, *goal, *own_colour, *places, *colours, *other]

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        adversary, good = self.world.distance[-2:]
        return torch.stack((good - adversary, -good)), None
