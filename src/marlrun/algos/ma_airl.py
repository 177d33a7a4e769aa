"""Multi-agent adversarial inverse reinforcement learning (MA-AIRL).

Yu, Song & Ermon, ICML 2019, arXiv 1907.13220: every agent i has a discriminator

    D_i(o, a, o') = exp f_i(o, a, o') / (exp f_i(o, a, o') + pi_i(a | o)),
    f_i(o, a, o') = g_i(o[, a]) + gamma h_i(o') - h_i(o),

which learns to tell what the expert did from what the policies do, while every policy maximises
E[log D_i - log(1 - D_i)] = E[f_i - log pi_i]. In the end g_i is the reward that is recovered.

Shapes: R replicas, B transitions, N agents.
"""

from typing import Literal

import torch
from torch import Tensor

from marlrun.algos.imitation.adversarial import adversarial
from marlrun.algos.imitation.learner import Imitation, ImitationSettings, controlled
from marlrun.data.transitions import Transitions
from marlrun.nets.discriminator import Inputs, Scores, ScoreSettings, state_only
from marlrun.nets.recovered import Network, RecoveredReward
from marlrun.ops.adversarial import shaped
from marlrun.types import Seeds, Spec

Reward = Literal["g", "f", "f_minus_logq"]


class AIRL:
    """The discriminators of MA-AIRL; see `adversarial.Discriminator`."""

    uses_log_pi = True

    def f(self, seen: Transitions) -> Tensor:
        """Return f_i(o, a, o') [R, B, N] of transitions."""
        # One call for both ends: h_i(o), h_i(o')
        ends = torch.cat((seen.obs, seen.next_obs), 1)
        value, next_value = self._h(ends, seen.action).chunk(2, 1)
        return self._g(seen.obs, seen.action) + shaped(
            value, next_value, seen.terminated, self._gamma
        )

    def logit(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return log D_i - log(1 - D_i) [R, B, N] = f_i - log pi_i."""
        return self.f(seen) - log_pi

    def reward(self, seen: Transitions, log_pi: Tensor) -> Tensor:
        """Return what policies are paid [R, B, N]; the authors' code pays g_i alone."""
        if self._pays == "g":
            return self._g(seen.obs, seen.action)
        return self.f(seen) if self._pays == "f" else self.logit(seen, log_pi)

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        pays: Reward,
        gamma: float,
        settings: ScoreSettings,
    ):
        self._pays, self._gamma = pays, gamma
        self.inputs = Inputs(spec, len(seeds), device, normalise=settings.normalise)
        self._g = Scores(spec, seeds, device, settings, name="g")
        self._h = Scores(spec, seeds, device, state_only(settings), name="h")
        self.rows = {"g": self._g.rows, "h": self._h.rows}
        self.recovered = RecoveredReward(spec, seeds, Network("g", self.inputs, self._g))


def ma_airl(
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    *,
    num_envs: int,
    reward: Reward | Literal["constant", "nearest"],
    settings: ImitationSettings,
) -> Imitation:
    """Return the learner; its parameters are explained in conf/algo/ma_airl.yaml."""
    if reward == "constant" or reward == "nearest":
        return controlled(reward, spec, seeds, device, num_envs, settings)
    gamma, scores = settings.ppo.gamma, settings.discriminator
    airl = AIRL(spec, seeds, device, pays=reward, gamma=gamma, settings=scores)
    return adversarial(airl, spec, seeds, device, num_envs, settings)
