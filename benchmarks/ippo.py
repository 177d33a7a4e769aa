"""IPPO on spread from end to end, beside JaxMARL's: processes that take turns on one core."""

import sys
from contextlib import ExitStack
from itertools import pairwise
from statistics import median
from typing import Any

import torch

from benchmarks.particle import JAXMARL, Peer, Player, in_turn, interpreter
from benchmarks.timing import Effort, Times, alternate

REPLICAS = (1, 4)
PEER = Peer("ippo_jaxmarl", JAXMARL)
SIZES = ((18, 64, 64, 5), (18, 64, 64, 1))
"""Layers of policy and critic."""
SAMPLES, UPDATES, ENV_STEPS = 3 * 512, 16, 128 * 16
"""Of a minibatch; minibatches and environment steps of a rollout."""


def ippo(effort: Effort) -> list[dict[str, Any]]:
    """IPPO on spread: env-steps/s of acting and learning, one core; ratio: over one seed of JaxMARL."""
    ours, theirs = "marlrun, replicas={}", PEER.requirements[0] + ", seeds={}"
    python = interpreter(PEER)
    with ExitStack() as stack:
        players: dict[str, Player] = {}
        for count in REPLICAS:
            if python is not None:
                player = Player(python, PEER.script, count)
                players[theirs.format(count)] = stack.enter_context(player)
            player = Player(sys.executable, "ippo_marlrun", count)
            players[ours.format(count)] = stack.enter_context(player)
        times = in_turn(players, effort)
    products = "products of one replica's updates alone"
    times[products] = [UPDATES * seconds / ENV_STEPS for seconds in _products(effort)["products"]]
    return _rows(times, next(iter(times)))


def update_flops() -> int:
    """Return the arithmetic of a minibatch's products, two for each product of a weight.

    Forward, and backward as much for the weights and, but for the first layer, for the inputs.
    """
    return sum(
        2 * SAMPLES * inputs * outputs * (2 if layer == 0 else 3)
        for sizes in SIZES
        for layer, (inputs, outputs) in enumerate(pairwise(sizes))
    )


def _products(effort: Effort) -> Times:
    """Time the products of a minibatch's update, into memory at hand."""
    calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for sizes in SIZES:
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            x, grad = torch.randn(SAMPLES, inputs), torch.randn(SAMPLES, outputs)
            weight = torch.randn(inputs, outputs)
            calls.append((x, weight, torch.empty_like(grad)))
            calls.append((x.T, grad, torch.empty_like(weight)))
            if layer > 0:
                calls.append((grad, weight.T, torch.empty_like(x)))

    def products() -> None:
        for a, b, out in calls:
            torch.mm(a, b, out=out)

    return alternate({"products": products}, effort)


def _rows(times: Times, base: str) -> list[dict[str, Any]]:
    """Compare each speed with that of `base` in the same round: median, worst and best."""
    rows: list[dict[str, Any]] = []
    for name, seconds in times.items():
        speeds = [1 / x for x in seconds]
        ratios = [a / b for a, b in zip(times[base], seconds, strict=True)]
        rows.append(
            {"of": name, "env_steps_per_s": median(speeds), "from_to": [min(speeds), max(speeds)]}
            | {"ratio": median(ratios), "worst_and_best": [min(ratios), max(ratios)]}
        )
    return rows
