"""How fast a network agrees: rho, singular values, spectral gap, from its matrices.

Zhang et al. (ICML 2018) assume that rho, the spectral norm of E[C'(I - 11'/N)C], is below 1: a
round multiplies the expected squared disagreement by rho at most.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse as untyped_sparse  # pyright: ignore[reportMissingTypeStubs]

from marlrun.graphs.network import Mixing, Network, SparseMixing

sparse: Any = untyped_sparse

Floats = NDArray[np.float64]
Matrix = Any
"""An array, or scipy.sparse.csr_array, which has no types."""
Summary = tuple[float, float, float]
"""rho, second singular value, spectral gap."""
SMALL = 500
"""Agents up to which all eigenvalues are computed; beyond, the largest alone."""
_LARGE_DRAWS = 4


@dataclass(frozen=True)
class Measures:
    """What a network's mean round does to disagreement."""

    rho: float
    """Spectral norm of E[C'(I - 11'/N)C]."""
    second_singular_value: float
    """Of E[C]; without change and with both sums 1 its square is rho."""
    spectral_gap: float
    """1 - |second largest eigenvalue of E[C]|."""
    edges: float
    """Links of a round, on average; both directions are one, unless the graph is directed."""
    connected: bool
    """Whether the mean graph is (strongly, if directed)."""
    draws: int | None
    """Random rounds from which this is estimated; None where there are none."""
    how: str
    """How it was found."""

    def values(self) -> dict[str, float | bool]:
        """Return the measures by name."""
        return {key: value for key, value in asdict(self).items() if key not in ("draws", "how")}

    def lines(self) -> list[str]:
        """Tell them, one a line, and how they were found."""
        told = [f"{key:>21}  {json.dumps(value)}" for key, value in self.values().items()]
        meaning = "a round leaves at most rho of the squared disagreement, on average"
        return [*told, f"({self.how}; {meaning})"]


def measure(network: Network, draws: int) -> Measures:
    """Measure the first replica; a graph that changes at random, by `draws` of its next rounds."""
    size = network.num_agents
    if network.is_shuffled and size > 1:
        summary, how = _shuffled, "exact"
    elif size <= SMALL:
        summary, how = _small, "exact"
    else:
        summary, how = _large, "by power iteration, from below"
        draws = min(draws, _LARGE_DRAWS)
    count = network.period or draws
    links = 0.0

    def rounds() -> Iterator[Matrix]:
        nonlocal links
        for _ in range(count):
            matrix = array_of(network.draw())
            links += float((matrix != 0).sum() - (matrix.diagonal() != 0).sum()) / count
            yield matrix

    rho, second, gap = summary(rounds(), size, count)
    return Measures(
        rho=_rounded(rho),
        second_singular_value=_rounded(second),
        spectral_gap=_rounded(gap),
        edges=_tidy(links if network.is_directed else links / 2),
        connected=network.connected,
        draws=None if network.period else count,
        how=how if network.period else f"estimated from {count} rounds",
    )


def _small(matrices: Iterable[Matrix], size: int, count: int) -> Summary:
    """Summarise by all eigenvalues."""
    mean, second = np.zeros((size, size)), np.zeros((size, size))
    for matrix in matrices:
        dense: Floats = matrix.toarray() if sparse.issparse(matrix) else matrix
        apart = dense - dense.mean(0)
        mean += dense / count
        second += apart.T @ apart / count
    if size == 1:
        return 0.0, 0.0, 1.0
    moduli = np.sort(np.abs(np.linalg.eigvals(mean)))
    rho = np.linalg.eigvalsh(second)[-1]
    return float(rho), float(np.linalg.svd(mean, compute_uv=False)[1]), float(1 - moduli[-2])


def _shuffled(matrices: Iterable[Matrix], size: int, count: int) -> Summary:
    """Summarise where agents' places in the graph are drawn anew.

    Then both expectations have one number on the diagonal and one beside it. So a sample's means of
    both estimate them without the bias of a sample's largest eigenvalue, which at 200 draws is 15 %.
    """
    entries = np.zeros((2, 2))
    for matrix in matrices:
        columns, rows = matrix.sum(0), matrix.sum(1)
        total = columns.sum()
        squares = (matrix**2).sum() - columns @ columns / size
        entries[0] += squares, rows @ rows - total**2 / size
        entries[1] += matrix.trace(), total
    # E = (d - o) I + o 11' has the eigenvalues d - o and, for 1, the sum of a row.
    own, total = entries.T / count / size
    square, apart = own - (total - own) / max(1, size - 1)
    return float(max(square, total[0])), float(abs(apart)), float(1 - abs(apart))


def _large(rounds: Iterable[Matrix], size: int, count: int) -> Summary:
    """Summarise by the largest eigenvalues, with products alone."""
    matrices = list(rounds)

    def second(x: Floats) -> Floats:
        total = np.zeros_like(x)
        for one in matrices:
            heard: Floats = one @ x
            total += one.T @ (heard - heard.mean(0))
        return total / count

    def apart(x: Floats) -> Floats:
        heard: Floats = mean @ x
        return heard - heard.mean(0)

    mean: Matrix = sum(matrices[1:], start=matrices[0]) / count
    rho = _largest(second, size, 1)[0]
    singular = _largest(lambda x: mean.T @ (mean @ x), size, 2)[1] ** 0.5
    gap = 1 - (singular if abs(mean - mean.T).max() < 1e-6 else _growth(apart, size))
    return float(rho), float(singular), float(gap)


def _largest(multiply: Callable[[Floats], Floats], size: int, count: int) -> Floats:
    """Return the largest eigenvalues of a symmetric operator >= 0, by block power iteration.

    They come from below, and lie close together on large graphs: what stops moving is taken.
    """
    x = np.linalg.qr(_start(size, count + 2))[0]
    values = np.zeros(count)
    for _ in range(_SWEEPS):
        last = values
        for _ in range(_SWEEP):
            x = multiply(x)
        x = np.linalg.qr(x)[0]
        values = np.linalg.eigvalsh(x.T @ multiply(x))[::-1][:count]
        if np.allclose(values, last, rtol=1e-4):
            break
    return values.clip(0)


def _growth(multiply: Callable[[Floats], Floats], size: int) -> float:
    """Return the largest modulus of an operator's eigenvalues: what a step multiplies by at last."""
    x = _start(size, 1)
    logs: list[float] = []
    for _ in range(_SWEEPS * _SWEEP):
        x = multiply(x)
        norm = float(np.linalg.norm(x))
        if norm == 0:
            return 0.0
        logs.append(np.log(norm))
        x /= norm
    return float(np.exp(np.mean(logs[len(logs) // 2 :])))


_SWEEPS, _SWEEP = 40, 10


def _start(size: int, count: int) -> Floats:
    return np.random.default_rng(0).standard_normal((size, count))


def array_of(mixing: Mixing) -> Matrix:
    """Return the first replica's matrix."""
    if not isinstance(mixing, SparseMixing):
        return mixing.matrix[0].double().cpu().numpy()
    csr, size = mixing.csr.cpu(), mixing.num_agents
    starts = csr.crow_indices()[: size + 1].numpy()
    columns, values = (part()[: starts[-1]].numpy() for part in (csr.col_indices, csr.values))
    parts = (values.astype(np.float64), columns.copy(), starts.copy())
    found = sparse.csr_array(parts, shape=(size, size))
    found.eliminate_zeros()
    return found


def _tidy(value: float) -> float:
    """Return a mean of whole numbers without the dust of adding up, an int where it is one."""
    value = round(value, 6)
    return int(value) if value == int(value) else value


def _rounded(value: float) -> float:
    """Return a value without the dust of single precision."""
    return round(value, 6) + 0.0
