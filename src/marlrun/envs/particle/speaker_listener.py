"""speaker_listener: one knows the goal and cannot move, one moves and does not know (Lowe et al. 2017)."""

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.physics import RULES, RuleSet
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Seeds

SPEAKER, LISTENER = 0, 1
LANDMARKS = range(2, 5)
ARRIVED = 0.035
"""The listener has arrived if it is so near to the goal."""


class SpeakerListener(ParticleGame):
    """The speaker sees which of three landmarks is the goal, and sends one of three messages.

    The listener sees its velocity, where the landmarks are from there, and the last message. Both
    are paid for the listener's distance to the goal: -distance^2 each under mpe2's rules, twice
    -distance under ma_airl's, whose early end is the listener's arrival.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        early_end: bool | None,
        horizon: int | None,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/speaker_listener.yaml says what the parameters mean."""
        self._is_mpe2 = rules == "mpe2"
        if early_end and self._is_mpe2:
            raise ValueError("env.early_end=true: expected null or false under rules=mpe2")
        self._ends_early = RULES[rules].early_end if early_end is None else early_end
        agents = [Body("speaker_0", 0.075, moves=False, words=3), Body("listener_0", 0.075)]
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules=rules,
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(3, 0.04),
            has_goal=True,
            pairs=[(LISTENER, LANDMARKS.stop)],
            horizon=horizon,
            discount=discount,
            symmetries=("landmarks", "words", "arena"),
        )

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        if agent == SPEAKER:
            return [rows.by_goal(landmark, 0.15, 0.5) for landmark in range(3)]
        return [
            *rows.velocities([LISTENER]),
            *rows.relative(LANDMARKS, LISTENER),
            *rows.words(),
        ]

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        distance = self.world.distance
        reward = distance.square().neg_() if self._is_mpe2 else distance * -2
        return reward, distance[0] <= ARRIVED if self._ends_early else None
