"""Step sizes that shrink with time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from marlrun.types import Metrics


@dataclass(frozen=True)
class StepSettings:
    """The node `steps` of an algorithm's YAML, where each key is explained."""

    critic: float
    critic_power: float
    actor: float
    actor_power: float
    offset: int
    average: float | None = None


def polynomial(scale: float, power: float, offset: int, time: int) -> float:
    """Return scale / (time + offset)**power for time = 1, 2, ..; power 0 = constant.

    Zhang et al. (ICML 2018), experiments: power .65 for critics and .85 for actors, the slower.
    """
    return scale / (time + offset) ** power


def linear(start: float, end: float, progress: float) -> float:
    """Return what is at `progress` from start (0) to end (1, and from there on)."""
    return start + (end - start) * min(1.0, progress)


class StepSizes:
    """A critic's and an actor's step size, as tensors that captured operations may read.

    `average` is that of mu, an agent's average reward: the critic's (Zhang et al., ICML 2018), or a
    constant of its own (Sutton & Barto 2018, section 10.3). Where values are neural they follow a mu
    that is still on its way from 0 without end, since nothing holds their constant part.
    """

    def __init__(self, settings: StepSettings, device: torch.device):
        self._settings = settings
        self.critic, self.actor = torch.zeros(2, device=device).unbind()
        fixed = settings.average
        self.average = self.critic if fixed is None else torch.tensor(fixed, device=device)

    def at(self, time: int) -> dict[str, float]:
        """Return both at `time` = 1, 2, .."""
        steps = self._settings
        return {
            "critic": polynomial(steps.critic, steps.critic_power, steps.offset, time),
            "actor": polynomial(steps.actor, steps.actor_power, steps.offset, time),
        }

    def set(self, time: int) -> None:
        """Let the tensors hold those at `time`."""
        now = self.at(time)
        self.critic.fill_(now["critic"])
        self.actor.fill_(now["actor"])

    def metrics(self, time: int, like: Tensor) -> Metrics:
        """Return both at `time` for the log, each shaped as `like`."""
        return {f"step/{name}": torch.full_like(like, now) for name, now in self.at(time).items()}
