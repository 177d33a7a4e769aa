"""IPPO on spread from end to end, beside JaxMARL's: processes that take turns on one core."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice, pairwise
from statistics import median
from typing import Any

import torch

from benchmarks import setting
from benchmarks.particle import JAXMARL, Peer, Player, in_turn, interpreter
from benchmarks.setting import IPPO, ROLLOUT, Call
from benchmarks.timing import Effort, Times, alternate
from marlrun.data.rollout import Rollout
from marlrun.data.samples import shuffled

REPLICAS = (1, 4)
PEER = Peer("ippo_jaxmarl", JAXMARL)
SIZES = ((18, 64, 64, 5), (18, 64, 64, 1))
"""Layers of policy and critic."""
SAMPLES = 3 * 512
"""Of a minibatch: agents times joint steps."""


def ippo(effort: Effort) -> list[dict[str, Any]]:
    """IPPO on spread: env-steps/s of acting and learning, one core; ratio: over one seed of JaxMARL."""
    with ExitStack() as stack:
        players = {name: stack.enter_context(player) for name, player in _players()}
        times = in_turn(players, effort)
    calls = {"updates of a replica alone": _update(), "their products alone": _products()}
    updates, env_steps = IPPO["epochs"] * IPPO["minibatches"], ROLLOUT * setting.COPIES
    for name, seconds in alternate(calls, effort).items():
        times[name] = [updates * x / env_steps for x in seconds]
    return rows(times)


def update_flops() -> int:
    """Return the arithmetic of a minibatch's products, two for each product of a weight.

    Forward, and backward as much for the weights and, but for the first layer, for the inputs.
    """
    return sum(
        2 * SAMPLES * inputs * outputs * (2 if layer == 0 else 3)
        for sizes in SIZES
        for layer, (inputs, outputs) in enumerate(pairwise(sizes))
    )


def _players() -> Iterator[tuple[str, Player]]:
    python = interpreter(PEER)
    for count in REPLICAS:
        if python is not None:
            name = f"{PEER.requirements[0]}, seeds={count}"
            yield name, Player(python, PEER.script, count)
        yield f"marlrun, replicas={count}", Player(sys.executable, "ippo_marlrun", count)


def _update() -> Call:
    """Return a call that learns from a minibatch of a replica, always the same."""
    learner, ticks = setting.ippo(1)
    rollouts: list[Rollout] = []

    def reward_fn(rollout: Rollout) -> torch.Tensor:
        rollouts.append(rollout)
        return rollout.reward

    learner.reward_fn = reward_fn
    list(islice(ticks, ROLLOUT))
    (rows,) = learner.prepare(rollouts[0].reward, *rollouts[0])
    batch = next(shuffled(rows, torch.rand(rows.shape[:2]), IPPO["minibatches"]))
    return partial(learner.descend, torch.tensor(1e-4), torch.tensor(0.01), batch)


def _products() -> Call:
    """Return a call of the products of a minibatch's update, into memory at hand."""
    products: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for sizes in SIZES:
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            x, grad = torch.randn(SAMPLES, inputs), torch.randn(SAMPLES, outputs)
            weight = torch.randn(inputs, outputs)
            products.append((x, weight, torch.empty_like(grad)))
            products.append((x.T, grad, torch.empty_like(weight)))
            if layer > 0:
                products.append((grad, weight.T, torch.empty_like(x)))

    def multiply() -> None:
        for a, b, out in products:
            torch.mm(a, b, out=out)

    return multiply


def rows(times: Times) -> list[dict[str, Any]]:
    """Compare each speed with the first in the same round: median, worst and best."""
    base = next(iter(times.values()))
    table: list[dict[str, Any]] = []
    for name, seconds in times.items():
        speeds = [1 / x for x in seconds]
        ratios = [a / b for a, b in zip(base, seconds, strict=True)]
        table.append(
            {"of": name, "env_steps_per_s": median(speeds), "from_to": [min(speeds), max(speeds)]}
            | {"ratio": median(ratios), "worst_and_best": [min(ratios), max(ratios)]}
        )
    return table
