"""Graphs and consensus matrices from files: .npy, .csv (commas) or .txt (blanks).

A square table with a row for each agent is a matrix: row i is what agent i hears. Whole numbers in
two columns are a list of undirected links between agents, which are numbered from 0.
"""

import codecs
import io
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marlrun.graphs.links import Ints
from marlrun.system.errors import one_line
from marlrun.system.reading import InputFile, is_number

Floats = NDArray[np.float64]
TOLERANCE = 1e-4
"""How far the sums of a matrix may be from 1, for files have few digits."""
NEGLIGIBLE = 1e-9
"""A weight of a matrix up to this size makes no link: agents would take for ever to agree by it."""
_DELIMITERS = {".csv": ",", ".txt": None}
_BETWEEN = {",": "commas", None: "blanks"}
_SHOWN = 40
"""How many characters of a line a message shows."""


class Table(NamedTuple):
    """The numbers of a file, and how messages name it."""

    path: str
    numbers: Floats


def read_table(file: InputFile) -> Table:
    """Return the numbers in a file, which are finite and in rows and columns.

    ValueError, in one line, says what is wrong and where.
    """
    suffix = PurePath(file.path).suffix.lower()
    try:
        if suffix == ".npy":
            return Table(file.path, _checked(_array(file.content)))
        if suffix in _DELIMITERS:
            return Table(file.path, _checked(_numbers(_text(file.content), _DELIMITERS[suffix])))
        raise ValueError("expected a file .npy, .csv or .txt")
    except ValueError as error:
        raise ValueError(f"graph.file={file.path}: {one_line(error)}") from error


def pairs_in(table: Table, num_agents: int) -> tuple[Ints, bool]:
    """Return the graph in a table as pairs [E, 2], and whether it is directed.

    ValueError, in one line, if the table is no graph of so many agents.
    """
    numbers = table.numbers
    if numbers.shape == (num_agents, num_agents):
        _refuse_negative(table, "0 where there is no link, a positive number where there is one")
        receiver, sender = np.nonzero(numbers)
        pairs = np.stack((sender, receiver), 1)
        return pairs, not np.array_equal(numbers != 0, numbers.T != 0)
    if numbers.shape[1] != 2:
        raise ValueError(_misfit(table, num_agents, "or a list of links in two columns"))
    is_wrong = (numbers < 0) | (numbers >= num_agents) | (numbers != np.floor(numbers))
    if is_wrong.any():
        (row, _), *_ = np.argwhere(is_wrong)
        link = " ".join(f"{end:g}" for end in numbers[row])
        expected = f"expected two agents of 0 .. {num_agents - 1}"
        from_one = numbers.min() == 1 and numbers.max() == num_agents
        hint = "; agents are numbered from 0, not from 1" if from_one else ""
        raise ValueError(f"graph.file={table.path}: link {row} is {link}, {expected}{hint}")
    return numbers.astype(np.int64), False


def matrix_in(table: Table, num_agents: int) -> Floats:
    """Return the consensus matrix [N, N] in a table; its rows sum to 1.

    ValueError, in one line, if the table has another shape or a negative entry, or if a row does
    not sum to 1.
    """
    numbers = table.numbers
    if numbers.shape != (num_agents, num_agents):
        raise ValueError(_misfit(table, num_agents, "for graph.weights=from_file"))
    _refuse_negative(table, "weights of at least 0")
    sums = numbers.sum(1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > TOLERANCE:
        expected = f"row {row} sums to {sums[row]:g}, expected 1"
        raise ValueError(f"graph.file={table.path}: not row-stochastic, {expected}")
    return numbers / sums[:, None]


def _refuse_negative(table: Table, expected: str) -> None:
    if (table.numbers < 0).any():
        (row, column), *_ = np.argwhere(table.numbers < 0)
        entry = f"entry ({row}, {column}) is {table.numbers[row, column]:g}"
        raise ValueError(f"graph.file={table.path}: {entry}, expected {expected}")


def _misfit(table: Table, num_agents: int, otherwise: str) -> str:
    rows, columns = table.numbers.shape
    square = f"{num_agents} x {num_agents}, a row an agent"
    return f"graph.file={table.path}: a table of {rows} x {columns}, expected {square}, {otherwise}"


def _array(content: bytes) -> NDArray[Any]:
    """Return the array of a .npy file."""
    # Unlike numpy.load it opens no archives, which may unpack to any size.
    read_array: Any = np.lib.format.read_array
    try:
        array: NDArray[Any] = read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:
        raise ValueError(f"expected an array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers, its dtype is {array.dtype}")
    return array


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("expected text in UTF-8, this is UTF-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in UTF-8, byte {error.start} is none") from error


def _numbers(text: str, delimiter: str | None) -> NDArray[Any]:
    """Return the numbers in a text; a # begins a comment."""
    bare = (line.partition("#")[0].strip() for line in text.splitlines())
    lines = {number: line for number, line in enumerate(bare, start=1) if line}
    if not lines:
        raise ValueError("expected a table of numbers, it is empty")
    try:
        return np.loadtxt(list(lines.values()), delimiter=delimiter, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(next(_mistakes(lines, delimiter), str(error))) from error


def _mistakes(lines: Mapping[int, str], delimiter: str | None) -> Iterator[str]:
    """Yield a message for each line that is no row of the table."""
    first_line, *_ = lines
    width = len(lines[first_line].split(delimiter))
    for number, line in lines.items():
        parts = line.split(delimiter)
        if not all(map(is_number, parts)):
            between = f"numbers with {_BETWEEN[delimiter]} between them"
            yield f"line {number} is {line[:_SHOWN]!r}, expected only {between}"
        if len(parts) != width:
            yield f"line {number} has {len(parts)} numbers, expected {width} as in line {first_line}"


def _checked(array: NDArray[Any]) -> Floats:
    if array.ndim != 2 or not array.size:
        raise ValueError(f"expected a table of rows and columns, its shape is {array.shape}")
    table = array.astype(np.float64)
    if not np.isfinite(table).all():
        (row, column), *_ = np.argwhere(~np.isfinite(table))
        raise ValueError(
            f"entry ({row}, {column}) is {table[row, column]}, expected finite numbers"
        )
    return table
