"""What is in a particle world: agents, landmarks and, in some, a goal, all of them discs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Body:
    """A disc. Distances are in units of half the arena's side, masses relative to a usual agent's."""

    name: str
    radius: float
    moves: bool = True
    collides: bool = False
    """Discs that collide push each other apart."""
    mass: float = 1.0
    force: float = 5.0
    """The force of an agent's push."""
    max_speed: float | None = None
    """The speed to which an agent is held; None = none."""
    words: int = 0
    """How many messages an agent can send; one that sends does not move."""
    reach: float = 1.0
    """An episode begins with x and y from U[-reach, reach]."""

    @property
    def num_actions(self) -> int:
        """An agent chooses among its words, or else rest and the four directions."""
        return self.words or 5


def discs(name: str, count: int, body: Body) -> list[Body]:
    """Return `count` bodies like `body`, which are called name_0, name_1, .."""
    return [replace(body, name=f"{name}_{i}") for i in range(count)]


def landmarks(
    count: int, radius: float, *, collides: bool = False, reach: float = 1.0
) -> list[Body]:
    """Return landmarks landmark_0, landmark_1, .., which never move."""
    body = Body("", radius, moves=False, collides=collides, reach=reach)
    return discs("landmark", count, body)


def changed(
    agents: Sequence[Body], force: float | None, mass: float | None, max_speed: float | None
) -> list[Body]:
    """Return the agents with this force, mass and maximal speed, where it is not None."""
    values = {"force": force, "mass": mass, "max_speed": max_speed}
    given = {name: value for name, value in values.items() if value is not None}
    return [replace(agent, **given) if agent.moves else agent for agent in agents]
