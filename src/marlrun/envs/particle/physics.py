"""How bodies move: forces of contact, integration, and two sets of rules (Lowe et al. 2017).

Tensors are [.., M], a column for each copy of the world. No column depends on another one: sums of
more than two numbers are additions in a fixed order, and PyTorch rounds exp, log and products that
are added the same wherever a number lies in a tensor (its own softplus it does not).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body

TIME_STEP = 0.1
DAMPING = 0.25
CONTACT_FORCE = 100.0
CONTACT_MARGIN = 1e-3
"""The length over which a contact becomes hard."""


@dataclass(frozen=True)
class Rules:
    """What differs between the particle worlds for which papers were written."""

    horizon: int
    early_end: bool
    """Whether success ends an episode, in scenarios that have a success."""
    velocity_first: bool
    """A velocity changes before it moves its body, or else after."""
    direction: int
    """Where action 1 pushes along x and action 3 along y; 2 and 4 push the other way."""


RuleSet = Literal["mpe2", "ma_airl"]
RULES: dict[RuleSet, Rules] = {
    "mpe2": Rules(horizon=25, early_end=False, velocity_first=False, direction=-1),
    "ma_airl": Rules(horizon=50, early_end=True, velocity_first=True, direction=1),
}


def pushes(rules: Rules) -> list[int]:
    """Return the actions that push to +x, +y, -x and -y."""
    return [1, 3, 2, 4] if rules.direction > 0 else [2, 4, 1, 3]


def stiffness(distance: Tensor, margins: Tensor) -> Tensor:
    """Return the forces between P pairs of bodies [P, M], over their `distance` and over 100 k.

    `margins` [P, 1] is the sum of the radii, r, over the margin of contact, k. A force is
    100 k log(1 + exp((r - distance) / k)).
    """
    depth = torch.add(margins, distance, alpha=-1 / CONTACT_MARGIN)
    return softplus(depth).div_(distance)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)) to within the last place of 1 + |x|."""
    # Beyond +-80 it is x, or 0, and exp is slow where it underflows.
    return torch.maximum(x, x.clamp(-80, 80).exp_().add_(1).log_())


Block = tuple[slice, slice | None]
"""Pairs of bodies: as many as slice 1 of those that move is long, each with one of slice 2, or all
with the same body that stays (None)."""


def contacts(bodies: Sequence[Body], movers: range) -> tuple[list[tuple[int, int]], list[Block]]:
    """Return the pairs of bodies that may collide, and the blocks that they make.

    Mover i meets mover i + 1, for all i, then mover i + 2, and so on; then the bodies that stay.
    """
    assert len({bodies[mover].collides for mover in movers}) == 1
    pairs, blocks = list[tuple[int, int]](), list[Block]()
    if not bodies[movers.start].collides:
        return pairs, blocks
    count = len(movers)
    for shift in range(1, count):
        pairs += [(mover, mover + shift) for mover in movers[:-shift]]
        blocks.append((slice(0, count - shift), slice(shift, count)))
    for number, body in enumerate(bodies):
        if body.collides and not body.moves:
            pairs += [(mover, number) for mover in movers]
            blocks.append((slice(0, count), None))
    return pairs, blocks


def add_contacts(force: Tensor, delta: Tensor, stiff: Tensor, blocks: Sequence[Block]) -> None:
    """Add the forces of all P pairs to those of the bodies that move, [2, n, M], in place.

    `delta` [2, P, M] is the first body's position minus the second's: the first is pushed along it,
    the second the other way. `stiff` [P, M] is their `stiffness`.
    """
    begin, unit = 0, CONTACT_MARGIN * CONTACT_FORCE
    for first, second in blocks:
        end = begin + first.stop - first.start
        vectors, lengths = delta[:, begin:end], stiff[begin:end]
        force[:, first].addcmul_(vectors, lengths, value=unit)
        if second is not None:
            force[:, second].addcmul_(vectors, lengths, value=-unit)
        begin = end


def integrate(
    position: Tensor,
    velocity: Tensor,
    force: Tensor,
    inverse_mass: Tensor,
    max_speed: Tensor | None,
    rules: Rules,
) -> None:
    """Let a time step pass: change position and velocity [2, n, M] in place.

    A velocity loses a quarter, gains force / mass * 0.1, and is held to `max_speed` [n, 1].
    """
    if not rules.velocity_first:
        position.add_(velocity, alpha=TIME_STEP)
    velocity.mul_(1 - DAMPING).addcmul_(force, inverse_mass, value=TIME_STEP)
    if max_speed is not None:
        velocity.mul_((max_speed / length(velocity)).clamp_(max=1))
    if rules.velocity_first:
        position.add_(velocity, alpha=TIME_STEP)


def length(vector: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the lengths [n, M] of vectors [2, n, M], in `out` if that is given."""
    x, y = vector.unbind()
    return torch.mul(x, x, out=out).addcmul_(y, y).sqrt_()
