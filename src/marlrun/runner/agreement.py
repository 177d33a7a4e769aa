"""What a recovered reward is worth: how far it agrees with the true one, on three kinds of play.

On its policy's play a reward may agree because the policy is good, and the expert's play it was
fitted to; neither has seen to uniform random play. Beside correlations of single steps stand those
of returns, as in arXiv 1907.13220, which a constant reward has too where episodes end early.

Shapes: R replicas, E episodes, T steps of the longest one, B transitions, N agents, O observation.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from marlrun.data.demonstrations import read
from marlrun.ops.agreement import (
    balanced_actions,
    canonical,
    num_samples,
    pearson,
    pearson_distance,
    returns_to_go,
    spearman,
)
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.job import Job
from marlrun.runner.plays import RANDOM, Play, block_size, demonstrated, num_episodes, record
from marlrun.runner.team import Team
from marlrun.streams import Stream, derive
from marlrun.types import AnyLearner, Env, Rewarding, Seeds, Spec, Step

DISCOUNT = 0.95
"""Of returns and of the distance: that of the experts of arXiv 1907.13220."""
COVERAGE = 1000
"""So many transitions of a play tell the distance."""


class Agreement:
    """Measures the recovered rewards of one run, again and again on the same random and expert play."""

    def __init__(
        self, job: Job, spec: Spec, seeds: Seeds, device: torch.device, plugins: Sequence[str]
    ):
        """Take a job; the demonstrations that its algorithm learns from are the expert's play."""
        self._spec, self._seeds, self._device, self._plugins = spec, seeds, device, plugins
        self._env_node = job.env
        self._demonstrations: Any = job.algo.get("demonstrations")
        self._for_curves: dict[str, Play] = {}

    def _fixed(self, episodes: int) -> dict[str, Play]:
        """Return the plays that stay the same: at random, and that of the expert if there is one."""
        env = self._env(self._seeds, episodes)
        random = build_learner(RANDOM, env, self._seeds, self._device, self._plugins, 1, None)
        plays = {"random": self._played(random, "irl/random", episodes)}
        if self._demonstrations is not None:
            expert = read(self._demonstrations)
            plays["expert"] = demonstrated(expert, episodes, len(self._seeds), self._device)
        return plays

    def measure(
        self, learner: AnyLearner | Team, purpose: str, *, thorough: bool
    ) -> dict[str, Tensor]:
        """Return tag -> float64 [R] on the CPU, such as the mean over agents `irl/random/pearson_step`.

        `purpose` names the random numbers of the policy's play. A thorough measurement has
        correlations of returns and distances too, all of it of every agent, on more episodes. Of a
        learner that recovers no reward there is nothing to measure.
        """
        if not isinstance(learner, Rewarding):
            return {}
        episodes = num_episodes(self._spec, thorough=thorough)
        if not thorough and not self._for_curves:
            self._for_curves = self._fixed(episodes)
        fixed = self._fixed(episodes) if thorough else self._for_curves
        plays = {"policy": self._played(learner, f"{purpose}/irl", episodes), **fixed}
        columns: dict[str, Tensor] = {}
        for name, play in plays.items():
            learned = rewards(learner, play)
            values = agreement(learned, play)
            if thorough:
                values |= return_agreement(learned, play)
                values |= distance(learner, play, self._spec, self._seeds)
            columns |= {f"irl/{name}/{quantity}": value for quantity, value in values.items()}
        means = {tag: column.mean(1) for tag, column in columns.items()}
        return means | (_by_agent(columns, self._spec) if thorough else {})

    def _env(self, seeds: Seeds, episodes: int) -> Env:
        copies = min(episodes, block_size(self._env_node, self._plugins))
        return build_env(self._env_node, seeds, self._device, self._plugins, num_envs=copies)

    def _played(self, learner: AnyLearner | Team, purpose: str, episodes: int) -> Play:
        seeds = [derive(seed, purpose) for seed in self._seeds]
        return record(self._env(seeds, episodes), learner.policy(explore=False, seeds=seeds))


def _by_agent(columns: dict[str, Tensor], spec: Spec) -> dict[str, Tensor]:
    return {
        f"agent/{name}/{tag}": column[:, index]
        for tag, column in columns.items()
        for index, name in enumerate(spec.agent_names)
    }


def agreement(learned: Tensor, play: Play) -> dict[str, Tensor]:
    """Return the correlations [R, N] of recovered `rewards` with the true ones of single transitions."""
    return _correlations("step", learned, play.reward, play.acted)


def return_agreement(learned: Tensor, play: Play) -> dict[str, Tensor]:
    """Return the correlations [R, N] of discounted returns, from each step to its episode's end."""
    learned, true = (
        returns_to_go(reward * play.acted, DISCOUNT) for reward in (learned, play.reward)
    )
    return _correlations("return", learned, true, play.acted)


@torch.no_grad()
def distance(learner: Rewarding, play: Play, spec: Spec, seeds: Seeds) -> dict[str, Tensor]:
    """Return the EPIC distance [R, N] between the recovered and the true reward, on a play.

    It is known where the game says what it pays for. A reward of the action and the state after it is
    its own canonical form, up to a constant; a reward of the state before, r(s), has gamma r(s').
    Actions are uniform, and states those of the play.
    """
    if spec.pays_for is None:
        return {}
    if spec.pays_for == "before":
        play = play.paid_later()
    count = num_samples(spec.num_actions)
    starts, _, _, _ = play.draw(seeds, "irl/epic/starts", count)
    _, _, ends, _ = play.draw(seeds, "irl/epic/ends", count)
    stream = Stream(seeds, "irl/epic/actions", play.obs.device)
    actions = balanced_actions(stream.uniform(0, count, spec.num_agents), spec.num_actions)
    obs, action, next_obs, reward = play.draw(seeds, "irl/epic", COVERAGE)
    reward_of = partial(_reward_of, learner)
    shaped = canonical(reward_of, obs, action, next_obs, (starts, actions, ends), DISCOUNT)
    return {"epic": pearson_distance(pearson(shaped.mT, reward.mT)).cpu()}


@torch.no_grad()
def rewards(learner: Rewarding, play: Play) -> Tensor:
    """Return the recovered rewards [R, E, T, N] of a play."""
    obs, action, next_obs = (part.flatten(1, 2) for part in (play.obs, play.action, play.next_obs))
    return _reward_of(learner, obs, action, next_obs).view_as(play.reward)


def _reward_of(
    learner: Rewarding, obs: Tensor, action: Tensor, next_obs: Tensor, reward: Tensor | None = None
) -> Tensor:
    """Return the recovered rewards [R, B, N] of transitions that belong to no episode."""
    no = torch.zeros(action.shape[:2], dtype=torch.bool, device=action.device)
    unpaid = torch.zeros_like(obs[..., 0])
    before = Step(no, obs, unpaid, no, no)
    after = Step(no, next_obs, unpaid if reward is None else reward, no, no)
    return learner.reward(before, action, after)


def _correlations(kind: str, learned: Tensor, true: Tensor, acted: Tensor) -> dict[str, Tensor]:
    """Return Pearson's and Spearman's correlations [R, N] of rewards [R, E, T, N] where agents acted."""
    shape = (acted.shape[0], acted.shape[-1])
    columns = [part.flatten(1, 2).mT.flatten(0, 1).cpu() for part in (learned, true, acted)]
    samples = [(x[mask], y[mask]) for x, y, mask in zip(*columns, strict=True)]
    return {
        f"{name}_{kind}": torch.stack([correlation(*pair) for pair in samples]).view(shape)
        for name, correlation in (("pearson", pearson), ("spearman", spearman))
    }
