"""Multi-agent generative adversarial imitation learning (MA-GAIL).

Song, Ren, Sadigh & Ermon, NeurIPS 2018, arXiv 1807.09936: every agent i has a classifier D_i(o[, a])
that learns to tell what the expert did (1) from what the policies do (0), while every policy
maximises E[log D_i], as in the authors' code, or E[log D_i - log(1 - D_i)], the logit. log D_i is
never positive and rewards whatever ends an episode early; the logit has both signs.

Shapes: R replicas, B transitions, N agents.
"""

from typing import Literal

import torch
from torch import Tensor

from marlrun.algos.imitation.adversarial import adversarial
from marlrun.algos.imitation.learner import Imitation, ImitationSettings, controlled
from marlrun.data.transitions import Transitions
from marlrun.nets.discriminator import Inputs, Scores, ScoreSettings
from marlrun.nets.recovered import Network, RecoveredReward
from marlrun.types import Seeds, Spec

Reward = Literal["log_d", "logit"]


class GAIL:
    """The discriminators of MA-GAIL; see `adversarial.Discriminator`."""

    uses_log_pi = False

    def logit(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return log D_i - log(1 - D_i) [R, B, N], which a network puts out."""
        return self._score(seen.obs, seen.action)

    def reward(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return what policies are paid [R, B, N]."""
        logit = self.logit(seen, log_pi)
        return torch.nn.functional.logsigmoid(logit) if self._pays == "log_d" else logit

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        pays: Reward,
        settings: ScoreSettings,
    ):
        self._pays = pays
        self.inputs = Inputs(spec, len(seeds), device, normalise=settings.normalise)
        self._score = Scores(spec, seeds, device, settings, name="discriminator")
        self.rows = {"discriminator": self._score.rows}
        self.recovered = RecoveredReward(spec, seeds, Network(pays, self.inputs, self._score))


def ma_gail(
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    *,
    num_envs: int,
    reward: Reward | Literal["constant", "nearest"],
    settings: ImitationSettings,
) -> Imitation:
    """Return the learner; its parameters are explained in conf/algo/ma_gail.yaml."""
    if reward == "constant" or reward == "nearest":
        return controlled(reward, spec, seeds, device, num_envs, settings)
    gail = GAIL(spec, seeds, device, pays=reward, settings=settings.discriminator)
    return adversarial(gail, spec, seeds, device, num_envs, settings)
