"""What agents of networked_spread earn that drive straight to their targets, rest, or play at random."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from marlrun.checks.subject import RandomActions
from marlrun.runner.build import build_env
from marlrun.types import Env, Seeds, Spec, Step
from paper2.summaries import Node, summary
from paper2.worlds import CPU, node

COPIES = 20
COAST = 0.3
"""Seconds for which an agent rolls on, roughly, when it no longer pushes."""
CLOSE = 0.05
"""An agent so near its target along both axes rests."""
Drive = Callable[[Step], Tensor]


def drive(step: Step) -> Tensor:
    """Return the pushes [R, E, N] of agents that drive to their targets, and brake before them."""
    num_agents = step.reward.shape[-1]
    pairs = step.obs[..., 0, :].unflatten(-1, (3, num_agents, 2))
    velocity, position, target = pairs.unbind(-3)
    gap = target - position - COAST * velocity
    axis = gap.abs().argmax(-1)
    far = gap.gather(-1, axis.unsqueeze(-1)).squeeze(-1)
    # 1 to 4 push to -x, +x, -y, +y.
    return torch.where(far.abs() < CLOSE, 0, 1 + 2 * axis + (far > 0))


def rest(step: Step) -> Tensor:
    """Return actions [R, E, N] of agents that rest."""
    return torch.zeros_like(step.reward, dtype=torch.int64)


def played(env: Any, policy: Drive, num_ticks: int) -> Node:
    """Return what agents earn in a step, and whom they touch and hear on average, seed by seed."""
    step: Step = env.reset()
    sums = torch.zeros(3, len(step.reward), dtype=torch.float64)
    for _ in range(num_ticks):
        after = env.step(policy(step))
        assert after.adjacency is not None
        touches = env.world.count_touches().T.reshape(after.reward.shape)
        heard = after.adjacency.sum(-1).float()
        # After a renewal touches are those of the new places, which earn nothing yet.
        sums += torch.stack([x.double().mean((1, 2)) for x in (after.reward, touches, heard)])
        step = env.restart(after)
    means = (sums / num_ticks).tolist()
    return dict(zip(("reward", "touches", "neighbours"), map(summary, means), strict=True))


def policies(spec: Spec, seeds: Seeds) -> dict[str, Drive]:
    """Return the three."""
    return {"drive": drive, "rest": rest, "random": RandomActions(spec, seeds, CPU)}


def targets(
    settings: Sequence[Node] = ({}, {"renewal": 0.1}, {"max_speed": 1.0, "renewal": 0.1}),
    num_ticks: int = 2000,
) -> Node:
    """Measure ten seeds in every setting of the game; the scale is drive minus random."""
    seeds, results = range(10), {}
    for changes in settings:
        config = node("env", "networked_spread", **changes)
        rows: Node = {}
        for name in ("drive", "rest", "random"):
            env: Env = build_env(config, seeds, CPU, [], num_envs=COPIES)
            rows[name] = played(env, policies(env.spec, seeds)[name], num_ticks)
        rows["scale"] = rows["drive"]["reward"]["mean"] - rows["random"]["reward"]["mean"]
        results[str(changes)] = rows
    return results
