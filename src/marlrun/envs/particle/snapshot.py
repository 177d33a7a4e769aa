"""One copy of a particle world, read into plain numbers for its picture."""

from collections.abc import Iterator
from typing import cast

from torch import Tensor

from marlrun.envs.common.scores import Moment
from marlrun.envs.particle.scene import Agent, Landmark, Scene
from marlrun.envs.particle.world import World
from marlrun.types import Spec


def snapshot(
    title: str,
    world: World,
    column: int,
    spec: Spec,
    moment: Moment,
    adjacency: Tensor | None = None,
) -> Scene:
    """Return the scene that a column of the world's state holds.

    In a continuing task the scores are mean rewards per step. Where `adjacency` [N, N] says who
    communicates, every landmark is the target of the agent with its number.
    """
    xs, ys = map(_floats, world.position[..., column])
    positions = list(zip(xs, ys, strict=True))
    weight = 1 / max(moment.step, 1) if spec.continuing else 1.0
    agents = [
        Agent(
            body.name,
            position,
            body.radius,
            weight * score,
            is_adversary=body.name.startswith("adversary"),
            is_solid=body.collides,
            message=message,
        )
        for body, position, score, message in zip(
            world.agents, positions, moment.returns, _messages(world, column), strict=False
        )
    ]
    marks = _floats(world.marks[:, column])
    landmarks = [
        Landmark(
            positions[number],
            world.bodies[number].radius,
            is_goal=index < len(marks) and marks[index] == 1,
            is_solid=world.bodies[number].collides,
            owner=None if adjacency is None else index,
        )
        for index, number in enumerate(range(len(agents), world.rows.num_placed))
    ]
    return Scene(
        title,
        agents,
        landmarks,
        moment.step,
        spec.horizon,
        score_name="mean reward" if spec.continuing else "return",
        links=None if adjacency is None else _pairs(adjacency),
        end=_end(spec, moment),
    )


def _messages(world: World, column: int) -> Iterator[int | None]:
    """Yield the number of the word that each agent has sent, None if it has sent none."""
    words = _floats(world.words[:, column])
    for agent in world.agents:
        vocabulary, words = words[: agent.words], words[agent.words :]
        yield vocabulary.index(1) if 1 in vocabulary else None


def _pairs(adjacency: Tensor) -> list[tuple[int, int]]:
    first, second = adjacency.triu().nonzero(as_tuple=True)
    return list(zip(map(int, first), map(int, second), strict=True))


def _end(spec: Spec, moment: Moment) -> str | None:
    if moment.terminated:
        return "ended early"
    return "time is up" if moment.step == spec.horizon and not spec.continuing else None


def _floats(column: Tensor) -> list[float]:
    return cast("list[float]", column.tolist())
