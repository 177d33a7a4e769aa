"""A picture of a network: its first rounds, links as strong as their weight."""

from pathlib import Path
from typing import Any

import networkx
import numpy as np

from marlrun.graphs.measures import Matrix, array_of
from marlrun.graphs.network import Network
from marlrun.system.plotting import KINDS, Axes, new_figure, save, style
from marlrun.system.writing import write_atomically

nx: Any = networkx
MOST_NODES = 199
"""Agents that are drawn as dots; of more, the matrix is shown."""
_COLOUR = "#0072B2"


def check_file(path: Path) -> None:
    """Raise ValueError unless a picture can be written there."""
    if path.suffix.removeprefix(".") not in KINDS:
        raise ValueError(f"out={path}: expected a file .png, .svg or .pdf")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"out={path}: no such directory: {path.parent}")


@style()
def draw(network: Network, path: Path, title: str) -> None:
    """Write a picture of the first replica's next rounds: one if it does not change, else four."""
    count = 1 if network.period == 1 else 4
    matrices = [array_of(network.draw()) for _ in range(count)]
    is_small = network.num_agents <= MOST_NODES
    figure = new_figure(figsize=(4 * count, 4.3), dpi=120, layout="constrained")
    figure.suptitle(title)
    place = _places(matrices[0], is_still=count == 1) if is_small else None
    for number, matrix in enumerate(matrices):
        axes = figure.add_subplot(1, count, number + 1)
        if count > 1:
            axes.set_title(f"round {number}", fontsize=9)
        if place is None:
            _show_matrix(axes, matrix)
        else:
            _show_links(axes, matrix, place)
    kind = path.suffix.removeprefix(".")
    write_atomically(path.resolve(), lambda file: save(figure, file, kind))


def _places(matrix: np.ndarray, is_still: bool) -> np.ndarray:
    """Return where agents are drawn [N, 2]."""
    graph = nx.from_numpy_array(matrix)
    found = nx.kamada_kawai_layout(graph, weight=None) if is_still else nx.circular_layout(graph)
    return np.array([found[agent] for agent in range(len(found))])


def _show_links(axes: Axes, matrix: np.ndarray, place: np.ndarray) -> None:
    for hearer, heard in zip(*matrix.nonzero(), strict=True):
        ends, weight = place[[heard, hearer]], float(matrix[hearer, heard])
        axes.plot(*ends.T, color=_COLOUR, alpha=min(1.0, 0.2 + weight), linewidth=4 * weight**0.5)
    axes.scatter(*place.T, s=60, color="white", edgecolors="black", zorder=2)
    axes.set_aspect("equal")
    axes.margins(0.1)
    axes.axis("off")


def _show_matrix(axes: Axes, matrix: Matrix) -> None:
    axes.spy(matrix, markersize=1, color=_COLOUR)
    axes.set_xlabel("heard")
    axes.set_ylabel("hearer")
