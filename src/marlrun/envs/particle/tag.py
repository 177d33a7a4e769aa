"""tag: slow adversaries chase fast prey among obstacles; predator and prey (Lowe et al. 2017)."""

from functools import reduce
from itertools import product

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, discs, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.physics import RuleSet
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Seeds

PREY = Body("", 0.05, collides=True, force=4.0, max_speed=1.3)
ADVERSARY = Body("", 0.075, collides=True, force=3.0, max_speed=1.0)


class Tag(ParticleGame):
    """Each touch of a prey by an adversary pays all adversaries 10 and costs that prey 10.

    A prey also pays for being outside, so that it can be caught: see `outside`. All see their
    velocity, their position, the obstacles and the other agents from there, then the velocities of
    the other prey. The early end, mpe2's `terminate_on_success`: every prey is touched at once.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        num_adversaries: int,
        num_good: int,
        num_obstacles: int,
        early_end: bool | None,
        horizon: int | None,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/tag.yaml says what the parameters mean."""
        num_agents = num_adversaries + num_good
        self._adversaries, self._prey = range(num_adversaries), range(num_adversaries, num_agents)
        self._obstacles = range(num_agents, num_agents + num_obstacles)
        self._ends_early = bool(early_end)
        agents = [
            *discs("adversary", num_adversaries, ADVERSARY),
            *discs("agent", num_good, PREY),
        ]
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules=rules,
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(num_obstacles, 0.2, collides=True, reach=0.9),
            pairs=list(product(self._prey, self._adversaries)),
            horizon=horizon,
            discount=discount,
        )

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        others = [*self._adversaries, *self._prey]
        others.remove(agent)
        return [
            *rows.velocities([agent]),
            *rows.positions([agent]),
            *rows.relative(self._obstacles, agent),
            *rows.relative(others, agent),
            *rows.velocities(other for other in others if other in self._prey),
        ]

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        num_prey, num_adversaries = len(self._prey), len(self._adversaries)
        distance = self.world.distance[-num_prey * num_adversaries :]
        distance = distance.view(num_prey, num_adversaries, -1)
        touches = (distance < PREY.radius + ADVERSARY.radius).sum(1)
        caught = touches.to(distance.dtype) * 10
        all_caught = reduce(torch.add, caught).expand(num_adversaries, -1)
        x, y = outside(self.world.position[:, self._prey.start : self._prey.stop])
        reward = torch.cat((all_caught, -(caught + x + y)))
        return reward, (touches > 0).all(0) if self._ends_early else None


def outside(position: Tensor) -> Tensor:
    """Return what prey pays for its x and y [2, n, M]: from .9 to 1 up to 1, then e^(2 |x| - 2).

    It pays nothing within .9, and at most 10.
    """
    far = position.abs()
    return torch.where(
        far < 1,
        (far - 0.9).mul_(10).clamp_(min=0),
        (far * 2 - 2).exp_().clamp_(max=10),
    )
