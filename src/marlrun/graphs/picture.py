"""A picture of the first rounds of a network, with lines as strong as the weights of links."""

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
"""At most so many agents are drawn as dots; of more agents the matrix is shown."""
_COLOUR = "#0072B2"


def check_file(path: Path) -> None:
    """Raise ValueError unless a picture can be written to `path`."""
    if path.suffix.removeprefix(".") not in KINDS:
        raise ValueError(f"out={path}: expected a file .png, .svg or .pdf")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"out={path}: no such directory: {path.parent}")


@style()
def draw(network: Network, path: Path, title: str) -> None:
    """Write a picture of the next round of the first replica, or of four if the graph changes."""
    count = 1 if network.period == 1 else 4
    matrices = [array_of(network.draw()) for _ in range(count)]
    is_small = network.num_agents <= MOST_NODES
    figure = new_figure(figsize=(4 * count, 4.3), dpi=120, layout="constrained")
    figure.suptitle(title)
    positions = _positions(matrices[0], is_still=count == 1) if is_small else None
    for number, matrix in enumerate(matrices):
        axes = figure.add_subplot(1, count, number + 1)
        if count > 1:
            axes.set_title(f"round {number}", fontsize=9)
        if positions is None:
            _show_matrix(axes, matrix)
        else:
            _show_links(axes, matrix, positions)
    kind = path.suffix.removeprefix(".")
    write_atomically(path.resolve(), lambda file: save(figure, file, kind))


def _positions(matrix: np.ndarray, is_still: bool) -> np.ndarray:
    """Return the positions [N, 2] at which agents are drawn."""
    graph = nx.from_numpy_array(matrix)
    layout = nx.kamada_kawai_layout(graph, weight=None) if is_still else nx.circular_layout(graph)
    return np.array([layout[agent] for agent in range(len(layout))])


def _show_links(axes: Axes, matrix: np.ndarray, positions: np.ndarray) -> None:
    for hearer, heard in zip(*matrix.nonzero(), strict=True):
        ends, weight = positions[[heard, hearer]], float(matrix[hearer, heard])
        axes.plot(*ends.T, color=_COLOUR, alpha=min(1.0, 0.2 + weight), linewidth=4 * weight**0.5)
    axes.scatter(*positions.T, s=60, color="white", edgecolors="black", zorder=2)
    axes.set_aspect("equal")
    axes.margins(0.1)
    axes.axis("off")


def _show_matrix(axes: Axes, matrix: Matrix) -> None:
    axes.spy(matrix, markersize=1, color=_COLOUR)
    axes.set_xlabel("heard")
    axes.set_ylabel("hearer")
