"""What a recovered reward is worth: how far it agrees with the true one, on three kinds of play.

On the policy's play it may agree because the policy is good; on the expert's it was fitted; uniform
random play is what neither has seen to. A constant reward has no correlation per step.

Shapes: R replicas, E episodes, T steps of the longest one, B transitions, N agents, O observation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from marlrun.data.demonstrations import Demonstrations, read
from marlrun.ops.agreement import (
    balanced_actions,
    canonical,
    num_samples,
    pearson,
    pearson_distance,
    returns_to_go,
    spearman,
)
from marlrun.runner.build import Node, build_env, build_learner
from marlrun.runner.evaluate import block_size
from marlrun.streams import Stream, derive
from marlrun.types import AnyLearner, Env, Policy, Rewarding, Seeds, Spec, Step

EPISODES = 100
"""So many episodes of a play, per replica."""
STEPS = 500
"""So many steps of an episode; of longer ones the first."""
DISCOUNT = 0.95
"""Of returns and of the distance: that of the experts of arXiv 1907.13220."""
COVERAGE = 1000
"""So many transitions of a play, drawn at random, tell the distance."""
_RANDOM = {"_target_": "marlrun.algos.random.Random"}


class Play(NamedTuple):
    """What was seen, done and truly paid; [R, E, T, N, ..]."""

    obs: Tensor
    action: Tensor
    next_obs: Tensor
    reward: Tensor
    acted: Tensor
    """[.., N] bool: the agent acted in the episode; False after its end, and where it had left."""


class Agreement:
    """Measures the recovered rewards of one run, again and again on the same random and expert play."""

    def __init__(
        self,
        env_node: Node,
        algo_node: Node,
        seeds: Seeds,
        device: torch.device,
        plugins: Sequence[str],
    ):
        """Play at random, and read the demonstrations that the algorithm learns from, if any."""
        self._env_node, self._seeds = env_node, seeds
        self._device, self._plugins = device, plugins
        env = self._env(seeds)
        self._spec = env.spec
        random = build_learner(_RANDOM, env, seeds, device, plugins, 1, None)
        self._plays = {"random": self._played(random, "irl/random")}
        source: Any = algo_node.get("demonstrations")
        if source is not None:
            self._plays["expert"] = demonstrated(read(source), len(seeds), device)

    def measure(
        self, learner: AnyLearner, purpose: str, *, thorough: bool = False
    ) -> dict[str, Tensor]:
        """Return tag -> float64 [R] on the CPU; nothing where the learner recovers no reward.

        `purpose` names the random numbers of the policy's play. `irl/random/pearson_step` is a mean
        over agents; a thorough measurement has those of the agents too, correlations of returns,
        and distances.
        """
        if not isinstance(learner, Rewarding):
            return {}
        plays = {"policy": self._played(learner, f"{purpose}/irl")} | self._plays
        columns: dict[str, Tensor] = {}
        for name, play in plays.items():
            values = step_agreement(learner, play)
            if thorough:
                values |= return_agreement(learner, play)
                values["epic"] = distance(learner, play, self._spec, self._seeds)
            columns |= {f"irl/{name}/{tag}": value for tag, value in values.items()}
        means = {tag: column.mean(1) for tag, column in columns.items()}
        if not thorough:
            return means
        agents = {
            f"agent/{agent}/{tag}": column[:, index]
            for tag, column in columns.items()
            for index, agent in enumerate(self._spec.agent_names)
        }
        return means | agents

    def _env(self, seeds: Seeds) -> Env:
        copies = min(EPISODES, block_size(self._env_node, self._plugins))
        return build_env(self._env_node, seeds, self._device, self._plugins, num_envs=copies)

    def _played(self, learner: AnyLearner, purpose: str) -> Play:
        seeds = [derive(seed, purpose) for seed in self._seeds]
        return record(self._env(seeds), learner.policy(explore=False, seeds=seeds))


@torch.no_grad()
def record(env: Env, policy: Policy) -> Play:
    """Play one episode in every copy of a game."""
    rows: list[tuple[Tensor, ...]] = []
    step = env.reset()
    playing = torch.ones_like(step.first)
    for _ in range(min(env.spec.horizon, STEPS)):
        action = policy(step)
        after = env.step(action)
        acted = playing.unsqueeze(-1).expand_as(action)
        if step.alive is not None:
            acted = acted & step.alive
        rows.append((step.obs, action, after.obs, after.reward, acted))
        playing = playing & ~after.done
        step = env.restart(after)
    return Play(*(torch.stack(column, 2) for column in zip(*rows, strict=True)))


def demonstrated(demonstrations: Demonstrations, num_replicas: int, device: torch.device) -> Play:
    """Return the first episodes of demonstrations, the same for all replicas."""
    part = demonstrations.beginning(EPISODES)
    starts = part.first.nonzero().squeeze(1)
    time = torch.arange(len(part.first)) - starts[part.episode]
    kept = time < STEPS
    episode, time = part.episode[kept], time[kept]
    shape = (len(starts), int(time.max()) + 1)

    def padded(flat: Tensor) -> Tensor:
        filled = flat.new_zeros(*shape, *flat.shape[1:])
        filled[episode, time] = flat[kept]
        return filled.to(device).expand(num_replicas, *filled.shape)

    acted = torch.ones_like(part.action, dtype=torch.bool) if part.alive is None else part.alive
    return Play(*map(padded, (part.obs, part.action, part.next_obs, part.reward, acted)))


def step_agreement(learner: Rewarding, play: Play) -> dict[str, Tensor]:
    """Return correlations [R, N] of the recovered with the true reward of single transitions."""
    return _correlations("step", rewards(learner, play), play.reward, play.acted)


def return_agreement(learner: Rewarding, play: Play) -> dict[str, Tensor]:
    """Return correlations [R, N] of discounted returns, from every step to the end of its episode.

    Where episodes end at different times, these are alike for every reward of one sign: also for a
    constant one.
    """
    pairs = (
        returns_to_go(reward * play.acted, DISCOUNT)
        for reward in (rewards(learner, play), play.reward)
    )
    return _correlations("return", *pairs, play.acted)


@torch.no_grad()
def rewards(learner: Rewarding, play: Play) -> Tensor:
    """Return the recovered rewards [R, E, T, N] of a play."""
    parts = (part.flatten(1, 2) for part in (play.obs, play.action, play.next_obs))
    return _reward_of(learner, *parts).view_as(play.reward)


@torch.no_grad()
def distance(learner: Rewarding, play: Play, spec: Spec, seeds: Seeds) -> Tensor:
    """Return the EPIC distance [R, N] between the recovered and the true reward, on a play.

    The true reward counts as its own canonical form, which it is, up to a constant, where it depends
    on the action and the next state alone. Actions are uniform, and states those of the play.
    """
    count, device = num_samples(spec.num_actions), play.obs.device
    obs, action, next_obs, reward = _drawn(play, seeds, "epic", COVERAGE)
    starts, *_ = _drawn(play, seeds, "epic/starts", count)
    _, _, ends, _ = _drawn(play, seeds, "epic/ends", count)
    chance = Stream(seeds, "irl/epic/actions", device).uniform(0, count, spec.num_agents)
    shaped = canonical(
        lambda *parts: _reward_of(learner, *parts),
        obs,
        action,
        next_obs,
        (starts, balanced_actions(chance, spec.num_actions), ends),
        DISCOUNT,
    )
    return pearson_distance(pearson(shaped.mT, reward.mT)).cpu()


def _drawn(play: Play, seeds: Seeds, name: str, count: int) -> list[Tensor]:
    """Return obs, action, next_obs and reward [R, count, N, ..] of transitions in which all acted."""
    *parts, acted = (part.flatten(1, 2) for part in play)
    acted = acted.all(-1)
    chance = Stream(seeds, f"irl/{name}", acted.device).uniform(0, count)
    valid_first = (~acted).byte().argsort(dim=1, stable=True)
    chosen = valid_first.gather(1, (chance * acted.sum(1, keepdim=True)).long())
    replica = torch.arange(len(acted), device=acted.device).unsqueeze(1)
    return [part[replica, chosen] for part in parts]


def _reward_of(learner: Rewarding, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
    """Return the recovered rewards [R, B, N] of transitions that belong to no episode."""
    no = torch.zeros(action.shape[:2], dtype=torch.bool, device=action.device)
    before = Step(no, obs, torch.zeros_like(obs[..., 0]), no, no)
    return learner.reward(before, action, before._replace(obs=next_obs))


def _correlations(kind: str, learned: Tensor, true: Tensor, acted: Tensor) -> dict[str, Tensor]:
    """Return Pearson's and Spearman's correlations [R, N] where agents acted."""
    learned, true, acted = (part.flatten(1, 2).mT.cpu() for part in (learned, true, acted))
    replicas, agents, _ = acted.shape
    result: dict[str, Tensor] = {}
    for name, correlation in (("pearson", pearson), ("spearman", spearman)):
        values = [
            correlation(one[mask], other[mask])
            for one, other, mask in zip(*(x.flatten(0, 1) for x in (learned, true, acted)), strict=True)
        ]
        result[f"{name}_{kind}"] = torch.stack(values).view(replicas, agents)
    return result
