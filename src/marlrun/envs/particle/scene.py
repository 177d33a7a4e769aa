"""What a picture of a particle world shows, in plain numbers, and the same as text."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import dist, isnan
from typing import NamedTuple

Point = tuple[float, float]


class Agent(NamedTuple):
    """An agent as it is drawn; lengths are in the world's unit."""

    name: str
    position: Point
    radius: float
    score: float
    """What the agent has gained in the episode so far; NaN = not known."""
    is_adversary: bool = False
    is_solid: bool = True
    """The agent collides with other solid bodies."""
    message: int | None = None
    """The symbol that the agent says; None = it says nothing."""


class Landmark(NamedTuple):
    """A landmark as it is drawn; lengths are in the world's unit."""

    position: Point
    radius: float
    is_goal: bool = False
    is_solid: bool = False
    """The landmark is an obstacle."""
    owner: int | None = None
    """The number of the only agent whose target the landmark is."""


class Scene(NamedTuple):
    """One moment of one copy of a particle world."""

    title: str
    agents: Sequence[Agent]
    landmarks: Sequence[Landmark]
    step: int
    horizon: int
    score_name: str = "return"
    links: Sequence[tuple[int, int]] | None = None
    """Pairs of agents that communicate; None = the game has no communication graph."""
    end: str | None = None
    """How the episode ended; None = it goes on."""

    @property
    def clock(self) -> str:
        """The step of the episode, and how the episode ended."""
        text = f"step {self.step} / {self.horizon}"
        return text if self.end is None else f"{text}, {self.end}"


def contacts(scene: Scene) -> list[Point]:
    """Return a point between every two solid bodies that overlap, of which one is an agent.

    The point divides the distance between their middles as their radii do.
    """
    agents = [agent for agent in scene.agents if agent.is_solid]
    obstacles = [landmark for landmark in scene.landmarks if landmark.is_solid]
    pairs: list[tuple[Agent, Agent | Landmark]] = [
        *combinations(agents, 2),
        *product(agents, obstacles),
    ]
    return [
        _between(agent, other)
        for agent, other in pairs
        if dist(agent.position, other.position) < agent.radius + other.radius
    ]


def text_of(scene: Scene) -> str:
    """Return a line about the episode, then one for each body and each contact."""
    return "\n".join([f"{scene.title}: {scene.clock}", *_lines(scene)])


def number(score: float) -> str:
    """Return a score as text; an unknown one is a question mark."""
    return "?" if isnan(score) else f"{round(score, 2) + 0.0:.2f}"


def landmark_label(index: int, landmark: Landmark) -> str:
    """Return the number of the agent that owns a landmark, or else a letter."""
    return chr(ord("a") + index % 26) if landmark.owner is None else str(landmark.owner)


def _lines(scene: Scene) -> Iterator[str]:
    for agent in scene.agents:
        message = "" if agent.message is None else f", says {agent.message}"
        score = f"{scene.score_name} {number(agent.score)}"
        yield f"{agent.name} at {_place(agent.position)}, {score}{message}"
    for index, landmark in enumerate(scene.landmarks):
        goal = ", goal" if landmark.is_goal else ""
        label = landmark_label(index, landmark)
        yield f"landmark {label} at {_place(landmark.position)}{goal}"
    for point in contacts(scene):
        yield f"contact at {_place(point)}"
    if scene.links is not None:
        yield " ".join(["links", *(f"{i}-{j}" for i, j in scene.links)])


def _between(agent: Agent, other: Agent | Landmark) -> Point:
    share = agent.radius / (agent.radius + other.radius)
    (x, y), (other_x, other_y) = agent.position, other.position
    return x + share * (other_x - x), y + share * (other_y - y)


def _place(point: Point) -> str:
    return f"({point[0]:.2f}, {point[1]:.2f})"
