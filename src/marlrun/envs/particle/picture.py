"""Pictures of particle worlds: y grows upwards, and the camera moves away to keep all in view."""

from collections.abc import Callable, Iterator
from math import ceil, cos, log2, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from marlrun.envs.common.render import COLOURS, DARK, GREY, LIGHT, Mode, Pixels, check_mode, font
from marlrun.envs.particle.scene import Point, Scene, contacts, landmark_label, number, text_of

BLUE, VERMILLION, GREEN, ORANGE, _, SKY, YELLOW, _ = COLOURS
TEAM = (BLUE, GREEN, SKY)
"""The colours of agents that have adversaries."""

FINE = 2
"""A picture is drawn so many times larger than it is, then made smaller: edges become smooth."""

SIDE, HEADER, LINE = 480 * FINE, 34 * FINE, 24 * FINE
"""The width of the arena and the heights of header and of a line of the legend."""

SMALLEST = 8 * FINE
"""The smallest radius of a body, however far the camera is away."""

COLUMNS, MOST_AGENTS = 3, 12
"""Columns of the legend, and for how many agents it has room; of more it shows the mean score."""


def draw_scene(mode: Mode, scene: Scene) -> str | Pixels:
    """Return a picture uint8 [height, 480, 3] or text of a particle world.

    The picture shows at least [-1, 1] in both directions, and every body. ValueError for an unknown
    mode.
    """
    check_mode(mode)
    return text_of(scene) if mode == "ansi" else _Drawing(scene).pixels()


class Camera:
    """Maps positions of the world to pixels of the drawing."""

    def __init__(self, scene: Scene):
        ends = [
            abs(coordinate) + body.radius
            for body in (*scene.agents, *scene.landmarks)
            for coordinate in body.position
        ]
        self.reach = 1.1 * max(1.0, *ends)
        """The distance from the middle to the edge of the picture."""
        self.scale = SIDE / (2 * self.reach)
        """Pixels per unit of length."""

    def pixel(self, position: Point) -> Point:
        """Return the pixel (from the left, from the top) at a position (x, y)."""
        x, y = position
        return (x + self.reach) * self.scale, HEADER + (self.reach - y) * self.scale

    def circle(self, position: Point, radius: float) -> tuple[Point, float]:
        """Return the middle and the radius of a body in pixels."""
        return self.pixel(position), max(radius * self.scale, SMALLEST)


def colours(scene: Scene) -> list[str]:
    """Return the colour of each agent; where there are adversaries, one for all of these."""
    if not any(agent.is_adversary for agent in scene.agents):
        return [COLOURS[i % len(COLOURS)] for i in range(len(scene.agents))]
    team = (TEAM[i % len(TEAM)] for i in range(len(scene.agents)))
    return [VERMILLION if agent.is_adversary else next(team) for agent in scene.agents]


class _Drawing:
    """Draws a scene, from the bottom layer to the top one."""

    def __init__(self, scene: Scene):
        self._scene, self._camera = scene, Camera(scene)
        self._agents = list(zip(scene.agents, colours(scene), strict=True))
        is_crowded = len(scene.agents) > MOST_AGENTS
        self._lines = 1 if is_crowded else ceil(len(scene.agents) / COLUMNS)
        size = (SIDE, HEADER + SIDE + (self._lines + 1) * LINE + LINE // 4)
        self._image = Image.new("RGB", size, "white")
        self._pen = ImageDraw.Draw(self._image)
        self._floor()
        self._links()
        self._landmarks()
        self._discs()
        self._signs()
        self._header()
        (self._mean if is_crowded else self._legend)()
        self._key()

    def pixels(self) -> Pixels:
        """Return the picture in its final size."""
        return np.array(self._image.reduce(FINE))

    def _floor(self) -> None:
        """Draw lines at every half unit, fewer where the camera is far away; a frame at [-1, 1]."""
        gap = 0.5 * 2 ** max(0, ceil(log2(self._camera.reach / 8)))
        count = int(self._camera.reach / gap)
        for line in range(-count, count + 1):
            x, y = self._camera.pixel((line * gap, line * gap))
            self._pen.line((x, HEADER, x, HEADER + SIDE), fill=LIGHT, width=FINE)
            self._pen.line((0, y, SIDE, y), fill=LIGHT, width=FINE)
        frame = (*self._camera.pixel((-1, 1)), *self._camera.pixel((1, -1)))
        self._pen.rectangle(frame, outline=GREY, width=FINE)
        border = (0, HEADER, SIDE - 1, HEADER + SIDE)
        self._pen.rectangle(border, outline=DARK, width=2 * FINE)

    def _links(self) -> None:
        for ends in self._scene.links or ():
            line = [self._camera.pixel(self._scene.agents[i].position) for i in ends]
            self._pen.line(line, fill=GREY, width=2 * FINE)

    def _landmarks(self) -> None:
        for index, landmark in enumerate(self._scene.landmarks):
            centre, radius = self._camera.circle(landmark.position, landmark.radius)
            colour = GREY if landmark.owner is None else self._agents[landmark.owner][1]
            shape = self._pen.ellipse if landmark.is_solid else self._pen.rectangle
            shape(_box(centre, radius), fill=colour, outline="white", width=FINE)
            self._label(centre, radius, landmark_label(index, landmark), colour)

    def _discs(self) -> None:
        """Draw the agents, with the outlines of landmarks that are below them."""
        for agent, colour in self._agents:
            circle = self._camera.circle(agent.position, agent.radius)
            self._pen.ellipse(_box(*circle), fill=colour, outline="white", width=FINE)
        for landmark in self._scene.landmarks:
            centre, radius = self._camera.circle(landmark.position, landmark.radius)
            if not landmark.is_solid:
                frame = _box(centre, radius + 2 * FINE)
                self._pen.rectangle(frame, outline="white", width=2 * FINE)
            if landmark.is_goal:
                self._goal(centre, 1.5 * radius + 3 * FINE)
        for i, (agent, colour) in enumerate(self._agents):
            self._label(*self._camera.circle(agent.position, agent.radius), str(i), colour)

    def _signs(self) -> None:
        """Draw contacts and messages."""
        for point in contacts(self._scene):
            self._burst(self._camera.pixel(point))
        for agent in self._scene.agents:
            if agent.message is not None:
                centre, radius = self._camera.circle(agent.position, agent.radius)
                self._bubble(centre, radius, f"says {agent.message}")

    def _header(self) -> None:
        self._write((8 * FINE, HEADER / 2), self._scene.title, size=16)
        self._write((SIDE - 8 * FINE, HEADER / 2), self._scene.clock, size=16, anchor="rm")

    def _legend(self) -> None:
        """Draw the number, the name and the score of every agent."""
        width = SIDE / COLUMNS
        for i, (agent, colour) in enumerate(self._agents):
            x, y = i % COLUMNS * width + 16 * FINE, self._line(i // COLUMNS)
            self._pen.ellipse(_box((x, y), SMALLEST), fill=colour)
            self._label((x, y), SMALLEST, str(i), colour)
            self._write((x + 14 * FINE, y), agent.name)
            self._write((x + width - 24 * FINE, y), number(agent.score), anchor="rm")

    def _mean(self) -> None:
        """Draw the mean score of many agents."""
        scores = [agent.score for agent in self._scene.agents]
        mean = number(sum(scores) / len(scores))
        self._write((8 * FINE, self._line(0)), f"mean of {len(scores)} agents: {mean}")

    def _key(self) -> None:
        """Draw what the signs mean."""
        x, y = 16.0 * FINE, self._line(self._lines)
        for name, draw in self._meanings():
            draw((x, y))
            x = self._write((x + 14 * FINE, y), name) + 20 * FINE
        text = f"numbers: {self._scene.score_name} so far"
        self._write((SIDE - 8 * FINE, y), text, anchor="rm")

    def _meanings(self) -> Iterator[tuple[str, Callable[[Point], None]]]:
        """Yield the name of each sign that the game may show, and what draws it."""
        landmarks = self._scene.landmarks
        if any(not landmark.is_solid for landmark in landmarks):
            name = "landmark" if landmarks[0].owner is None else "own target"
            yield name, self._square
        if any(landmark.is_solid for landmark in landmarks):
            yield "obstacle", self._disc
        if any(landmark.is_goal for landmark in landmarks):
            yield "goal", self._goal
        if any(agent.is_solid for agent in self._scene.agents):
            yield "contact", self._burst
        if self._scene.links is not None:
            yield "link", self._dash

    def _square(self, centre: Point) -> None:
        self._pen.rectangle(_box(centre, 6 * FINE), fill=GREY, outline=DARK, width=FINE)

    def _disc(self, centre: Point) -> None:
        self._pen.ellipse(_box(centre, SMALLEST), fill=GREY)

    def _dash(self, centre: Point) -> None:
        x, y = centre
        self._pen.line((x - SMALLEST, y, x + SMALLEST, y), fill=GREY, width=2 * FINE)

    def _goal(self, centre: Point, radius: float = SMALLEST) -> None:
        self._pen.ellipse(_box(centre, radius + FINE), outline="white", width=5 * FINE)
        self._pen.ellipse(_box(centre, radius), outline=ORANGE, width=3 * FINE)

    def _burst(self, centre: Point) -> None:
        x, y = centre
        tips = [(SMALLEST / (1 + i % 2), pi * i / 8) for i in range(16)]
        points = [(x + away * cos(angle), y + away * sin(angle)) for away, angle in tips]
        self._pen.polygon(points, fill=YELLOW, outline=DARK, width=FINE)

    def _bubble(self, centre: Point, radius: float, text: str) -> None:
        """Draw what an agent says above it, or below it where the picture ends."""
        x, y = centre
        up = -1 if y - radius > HEADER + 48 * FINE else 1
        x = min(max(x, 40 * FINE), SIDE - 40 * FINE)
        middle = y + up * (radius + 24 * FINE)
        tail = [(centre[0], y + up * radius), (x - 6 * FINE, middle), (x + 6 * FINE, middle)]
        self._pen.polygon(tail, fill=DARK)
        box = (x - 32 * FINE, middle - 12 * FINE, x + 32 * FINE, middle + 12 * FINE)
        self._pen.rounded_rectangle(box, 8 * FINE, fill="white", outline=DARK, width=2 * FINE)
        self._write((x, middle), text, size=14, anchor="mm")

    def _label(self, centre: Point, radius: float, text: str, colour: str) -> None:
        """Draw a label in the middle of a body; a rim of the body's colour parts it from lines."""
        fill, letters = DARK if colour in (SKY, YELLOW) else "white", font(min(1.4 * radius, 40))
        self._pen.text(
            centre,
            text,
            fill=fill,
            anchor="mm",
            font=letters,
            stroke_width=FINE,
            stroke_fill=colour,
        )

    def _write(self, point: Point, text: str, size: int = 12, anchor: str = "lm") -> float:
        """Draw text, and return where it ends if it begins at `point`."""
        letters = font(size * FINE)
        self._pen.text(point, text, fill=DARK, anchor=anchor, font=letters)
        return point[0] + self._pen.textlength(text, font=letters)

    def _line(self, number_of_line: int) -> float:
        """Return the middle of a line below the arena."""
        return HEADER + SIDE + (number_of_line + 0.65) * LINE


def _box(centre: Point, radius: float) -> tuple[float, float, float, float]:
    x, y = centre
    return x - radius, y - radius, x + radius, y + radius
