"""Pictures and text of small games. y grows upwards; the colours are those of Okabe and Ito."""

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mode = Literal["ansi", "rgb_array"]
Point = tuple[int, int]
Pixels = NDArray[np.uint8]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GREY, DARK, LIGHT = "#8C8C8C", "#333333", "#DDDDDD"
CELL, EDGE = 64, 6
"""The width of a cell and of the border of a picture, in pixels."""

FRAMES_PER_SECOND = 5
"""The speed of videos, where a game does not declare another as `frames_per_second`."""


def draw_grid(
    mode: Mode, size: int, agents: Sequence[Point], targets: Sequence[Point] = (), *, walls: bool
) -> str | Pixels:
    """Return a picture or text of agents and targets in the cells (x, y) of a grid.

    Agents are discs or digits, targets frames or letters. A single target is that of all agents;
    of several, each has the colour of its agent.
    """
    check_mode(mode)
    draw = _grid_text if mode == "ansi" else _grid_picture
    return draw(size, agents, targets, walls)


def draw_table(mode: Mode, payoffs: NDArray[np.float64], joint_action: int) -> str | Pixels:
    """Return a picture or text of payoffs [N, A_0, ..].

    Rows are the actions of the first agent, columns the joint actions of the others. The number
    `joint_action` is marked, unless it is -1.
    """
    check_mode(mode)
    draw = _table_text if mode == "ansi" else _table_picture
    return draw(payoffs, joint_action)


def check_mode(mode: str) -> None:
    """Raise ValueError for an unknown mode."""
    if mode not in ("ansi", "rgb_array"):
        raise ValueError(f"render_mode={mode}: expected ansi or rgb_array")


def _grid_text(size: int, agents: Sequence[Point], targets: Sequence[Point], walls: bool) -> str:
    cells = {(x, y): "" for y in range(size) for x in range(size)}
    for i, point in enumerate(agents):
        cells[point] += str(i)
    for i, point in enumerate(targets):
        cells[point] += "T" if len(targets) == 1 else chr(ord("a") + i)
    width = max(map(len, cells.values()))
    rows = [
        " ".join((cells[x, y] or ".").center(width) for x in range(size))
        for y in reversed(range(size))
    ]
    if walls:
        border = f"+{'-' * (len(rows[0]) + 2)}+"
        rows = [border, *(f"| {row} |" for row in rows), border]
    return "\n".join(rows)


def _grid_picture(
    size: int, agents: Sequence[Point], targets: Sequence[Point], walls: bool
) -> Pixels:
    image, pen = _canvas(size, size)
    for line in range(size + 1):
        position, end = EDGE + line * CELL, EDGE + size * CELL
        pen.line((position, EDGE, position, end), fill=LIGHT, width=2)
        pen.line((EDGE, position, end, position), fill=LIGHT, width=2)
    if walls:
        pen.rectangle((0, 0, image.width - 1, image.height - 1), outline=DARK, width=EDGE)
    for i, point in enumerate(targets):
        x, y = _centre(size, point)
        reach = CELL // 2 - 3 - 4 * i % (CELL // 2)
        colour = GREY if len(targets) == 1 else _colour(i)
        pen.rectangle((x - reach, y - reach, x + reach, y + reach), outline=colour, width=4)
    for i, point in enumerate(agents):
        _draw_agent(pen, _centre(size, point), i, len(agents))
    return np.array(image)


def _draw_agent(pen: ImageDraw.ImageDraw, centre: Point, i: int, num_agents: int) -> None:
    """Draw a disc beside the centre of a cell, so that all agents in a cell are visible."""
    angle, away = pi - 2 * pi * i / num_agents, (CELL / 5 if num_agents > 1 else 0)
    radius = min(CELL / 5.5, CELL / (1.7 * num_agents))
    x, y = centre[0] + away * cos(angle), centre[1] - away * sin(angle)
    box = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse(box, fill=_colour(i), outline="white", width=1)
    pen.text((x, y), str(i), fill="white", anchor="mm", font=font(1.4 * radius))


def _table_text(payoffs: NDArray[np.float64], joint_action: int) -> str:
    labels = [f"[{text}]" if i == joint_action else text for i, text in enumerate(_labels(payoffs))]
    width = max(map(len, labels)) + 2
    columns = len(labels) // payoffs.shape[1]
    rows = [labels[start : start + columns] for start in range(0, len(labels), columns)]
    return "\n".join("".join(label.center(width) for label in row).rstrip() for row in rows)


def _table_picture(payoffs: NDArray[np.float64], joint_action: int) -> Pixels:
    labels = _labels(payoffs)
    height = payoffs.shape[1]
    width = len(labels) // height
    mean = payoffs.mean(0).ravel()
    shade = (mean - mean.min()) / max(np.ptp(mean), 1e-9)
    image, pen = _canvas(width, height)
    for i, label in enumerate(labels):
        left, top = EDGE + i % width * CELL, EDGE + i // width * CELL
        box = (left, top, left + CELL, top + CELL)
        blue = tuple(round(255 + shade[i] * (part - 255)) for part in (86, 180, 233))
        pen.rectangle(box, fill=blue, outline=LIGHT)
        pen.text((left + CELL / 2, top + CELL / 2), label, fill=DARK, anchor="mm", font=font(16))
    if joint_action >= 0:
        left, top = EDGE + joint_action % width * CELL, EDGE + joint_action // width * CELL
        pen.rectangle((left, top, left + CELL, top + CELL), outline=COLOURS[1], width=5)
    return np.array(image)


def _labels(payoffs: NDArray[np.float64]) -> list[str]:
    """Return the payoff of every joint action, as one number if all agents have the same."""
    common = bool((payoffs == payoffs[0]).all())
    rows = (payoffs[:1] if common else payoffs).reshape(1 if common else len(payoffs), -1)
    return [", ".join(f"{number:g}" for number in column) for column in rows.T]


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (2 * EDGE + width * CELL, 2 * EDGE + height * CELL), "white")
    return image, ImageDraw.Draw(image)


def _centre(size: int, point: Point) -> Point:
    x, y = point
    return EDGE + x * CELL + CELL // 2, EDGE + (size - 1 - y) * CELL + CELL // 2


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def font(size: float) -> Any:
    """Return Pillow's own letters in a size in pixels."""
    return ImageFont.load_default(size)
