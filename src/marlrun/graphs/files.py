"""Graphs and consensus matrices from files: .npy, .csv (commas) or .txt (blanks).

A square matrix with a row an agent is read as a matrix: row i, what agent i hears. Whole numbers in
two columns are read as a list of links, not directed, agents numbered from 0.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marlrun.graphs.links import Ints

Floats = NDArray[np.float64]
TOLERANCE = 1e-4
"""How far sums of a matrix may be from 1: files are written with few digits."""


def read_pairs(path: str, num_agents: int) -> tuple[Ints, bool]:
    """Return the graph in a file as pairs [E, 2], and whether it is directed.

    ValueError, in one line, if it is no graph of so many agents.
    """
    table = _read(path)
    if table.shape == (num_agents, num_agents):
        hearer, heard = np.nonzero(table)
        pairs = np.stack((heard, hearer), 1)
        return pairs, not np.array_equal(table != 0, table.T != 0)
    if table.shape[1] != 2:
        raise ValueError(_misfit(path, table, num_agents, "or a list of links in two columns"))
    wrong = (table < 0) | (table >= num_agents) | (table != np.floor(table))
    if wrong.any():
        (row, _), *_ = np.argwhere(wrong)
        link = " ".join(f"{end:g}" for end in table[row])
        expected = f"expected two agents of 0 .. {num_agents - 1}"
        raise ValueError(f"graph.file={path}: link {row} is {link}, {expected}")
    return table.astype(np.int64), False


def read_matrix(path: str, num_agents: int) -> Floats:
    """Return the consensus matrix [N, N] in a file, its rows summing to 1.

    ValueError, in one line, if it is none: not square, of another size, negative, not
    row-stochastic.
    """
    table = _read(path)
    if table.shape != (num_agents, num_agents):
        raise ValueError(_misfit(path, table, num_agents, "for graph.weights=from_file"))
    if (table < 0).any():
        (row, column), *_ = np.argwhere(table < 0)
        entry = f"entry ({row}, {column}) is {table[row, column]:g}"
        raise ValueError(f"graph.file={path}: {entry}, expected weights of at least 0")
    sums = table.sum(1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > TOLERANCE:
        expected = f"row {row} sums to {sums[row]:g}, expected 1"
        raise ValueError(f"graph.file={path}: not row-stochastic, {expected}")
    return table / sums[:, None]


def _misfit(path: str, table: Floats, num_agents: int, otherwise: str) -> str:
    rows, columns = table.shape
    square = f"{num_agents} x {num_agents}, a row an agent"
    return f"graph.file={path}: a table of {rows} x {columns}, expected {square}, {otherwise}"


def _read(path: str) -> Floats:
    """Return the numbers in a file as a table."""
    file = Path(path)
    delimiters = {".csv": ",", ".txt": None}
    if file.suffix not in (".npy", *delimiters):
        raise ValueError(f"graph.file={path}: expected a file .npy, .csv or .txt")
    if not file.is_file():
        raise ValueError(f"graph.file={path}: no such file")
    try:
        if file.suffix == ".npy":
            found: Any = np.load(file, allow_pickle=False)
        else:
            lines = file.read_text("utf-8").splitlines()
            lines = [line for line in lines if line.partition("#")[0].strip()]
            found = np.loadtxt(lines, delimiter=delimiters[file.suffix], ndmin=2) if lines else []
        table = np.asarray(found, dtype=np.float64)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"graph.file={path}: expected a table of numbers: {reason}") from error
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"graph.file={path}: expected a table of finite numbers")
    return table
