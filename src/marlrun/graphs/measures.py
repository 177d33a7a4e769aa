"""How fast a network agrees: rho, singular values, spectral gap, from its matrices.

Zhang et al. (ICML 2018) assume that rho, the spectral norm of E[C'(I - 11'/N)C], is below 1: a
round multiplies the expected squared disagreement by rho at most.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import sparse as untyped_sparse  # pyright: ignore[reportMissingTypeStubs]

from marlrun.graphs import spectra
from marlrun.graphs.links import Links
from marlrun.graphs.network import Mixing, Network, SparseMixing
from marlrun.graphs.spectra import Floats, Matrix, apart

sparse: Any = untyped_sparse

Summary = tuple[float | None, float | None, float | None]
"""rho, second singular value and spectral gap; each is None if it was not found."""
SMALL = 500
"""With more agents only the largest eigenvalues are computed, not all."""
_LARGE_DRAWS = 4


@dataclass(frozen=True)
class Measures:
    """What a mean round of a network does to disagreement; a value is None if it was not found."""

    rho: float | None
    """Spectral norm of E[C'(I - 11'/N)C]."""
    second_singular_value: float | None
    """The one of E[C]; its square is rho if the graph is static and rows and columns sum to 1."""
    spectral_gap: float | None
    """1 - |second largest eigenvalue of E[C]|."""
    edges: float
    """The mean number of links in a round; in an undirected graph both directions are one link."""
    connected: bool
    """Whether the mean graph is connected (strongly, if it is directed)."""
    draws: int | None
    """The number of random rounds from which values are estimated; None if they are exact."""
    how: str
    """How the values were found, and what they mean."""

    def values(self) -> dict[str, float | bool | None]:
        """Return the measures by name."""
        return {key: value for key, value in asdict(self).items() if key not in ("draws", "how")}

    def lines(self) -> list[str]:
        """Return a line for each measure, and one that says how they were found."""
        lines = [f"{key:>21}  {json.dumps(value)}" for key, value in self.values().items()]
        return [*lines, f"({self.how})"]


def measure(network: Network, draws: int) -> Measures:
    """Measure the first replica; `draws` rounds are used if the graph changes at random.

    Gossip is measured exactly: a round is a projection, so that E[C'(I - 11'/N)C] = E[C] - 11'/N.
    """
    size = network.num_agents
    if network.gossip is not None:
        values = _gossip(network.gossip, network.connected)
        return _measures(network, values, links=2, draws=None)
    is_estimated = network.is_shuffled and size > 1
    if size > SMALL and not is_estimated:
        draws = min(draws, _LARGE_DRAWS)
    count = network.period or draws
    links = 0.0

    def rounds() -> Iterator[Matrix]:
        nonlocal links
        for _ in range(count):
            matrix = array_of(network.draw())
            links += float((matrix != 0).sum() - (matrix.diagonal() != 0).sum()) / count
            yield _summing_to_one(matrix, 0 if network.is_push_sum else 1)

    if is_estimated:
        values = _shuffled(rounds(), size, count)
    elif size <= SMALL:
        values = _small(rounds(), size, count)
    else:
        values = _large(rounds(), size, count, network.connected)
    return _measures(network, values, links, None if network.period else count)


def _measures(network: Network, values: Summary, links: float, draws: int | None) -> Measures:
    rho, second, gap = values
    return Measures(
        rho=_rounded(rho),
        second_singular_value=_rounded(second),
        spectral_gap=_rounded(gap),
        edges=_tidy(links if network.is_directed else links / 2),
        connected=network.connected,
        draws=draws,
        how="; ".join(_explanations(network, values, draws)),
    )


def _explanations(network: Network, values: Summary, draws: int | None) -> Iterator[str]:
    """Yield how the values were found, and what they mean."""
    yield "exact" if draws is None else f"estimated from {draws} rounds"
    if draws is not None and not network.is_shuffled:
        yield "the largest eigenvalue of a sample's mean is too large, more draws are less so"
    if None in values:
        yield "null: not to be resolved in a few seconds"
    if not network.is_push_sum:
        yield "a round leaves at most rho of the squared disagreement, on average"
        return
    yield "rho and the singular value are of push-sum's x, and say nothing of w = x / y"
    if network.period == 1:
        yield "of its squared disagreement a round leaves (1 - spectral_gap)^2, in the long run"


def _summing_to_one(matrix: Matrix, axis: int) -> Matrix:
    """Return a matrix with sums of 1 in double precision; its diagonal takes the difference.

    In single precision the diagonal is wrong by 6e-8, which may exceed the gap of a slow graph.
    """
    lacking = 1 - matrix.sum(axis)
    if sparse.issparse(matrix):
        return (matrix + sparse.diags_array(lacking)).tocsr()
    return matrix + np.diag(lacking)


def _gossip(links: Links, is_connected: bool) -> Summary:
    """Summarise rounds in which the two agents of a link take their mean; all links are equal.

    E[C] = I - L / 2E, L the Laplacian of the E links; it has no negative eigenvalues.
    """
    size = links.num_agents
    is_first = links.replica == 0
    ends, weights = (links.hearer[is_first], links.heard[is_first]), np.ones(is_first.sum())
    # Every link stands here twice.
    mean = _summing_to_one(sparse.csr_array((weights / len(weights), ends), shape=(size, size)), 1)
    if size <= SMALL:
        second = float(np.linalg.eigvalsh(mean.toarray())[-2])
    else:
        second = spectra.second(mean, is_connected)
    return second, second, None if second is None else 1 - second


def _small(matrices: Iterable[Matrix], size: int, count: int) -> Summary:
    """Summarise a few agents by all eigenvalues."""
    mean, second = np.zeros((size, size)), np.zeros((size, size))
    for matrix in matrices:
        dense: Floats = matrix.toarray() if sparse.issparse(matrix) else matrix
        deviation = apart(dense)
        mean += dense / count
        second += deviation.T @ deviation / count
    if size == 1:
        return 0.0, 0.0, 1.0
    moduli = np.sort(np.abs(np.linalg.eigvals(mean)))
    rho = np.linalg.eigvalsh(second)[-1]
    return float(rho), float(np.linalg.svd(mean, compute_uv=False)[1]), float(1 - moduli[-2])


def _shuffled(matrices: Iterable[Matrix], size: int, count: int) -> Summary:
    """Summarise rounds in which agents are exchanged at random.

    Then each expectation has one number on the diagonal and one outside. The means of a sample
    estimate both without bias; the largest eigenvalue of a sample has a bias of 15 % at 200 rounds.
    """
    entries = np.zeros((2, 2))
    for matrix in matrices:
        columns, rows = matrix.sum(0), matrix.sum(1)
        total = columns.sum()
        squares = (matrix**2).sum() - columns @ columns / size
        entries[0] += squares, rows @ rows - total**2 / size
        entries[1] += matrix.trace(), total
    # E = (d - o) I + o 11' has the eigenvalues d - o and, for 1, the sum of a row.
    diagonal, total = entries.T / count / size
    square, second = diagonal - (total - diagonal) / max(1, size - 1)
    return float(max(square, total[0])), float(abs(second)), float(1 - abs(second))


def _large(rounds: Iterable[Matrix], size: int, count: int, is_connected: bool) -> Summary:
    """Summarise many agents by the largest eigenvalues, which need only products."""
    matrices = list(rounds)
    mean: Matrix = sum(matrices[1:], start=matrices[0]) / count
    if abs(mean - mean.T).max() < 1e-6:
        second = spectra.second(mean, is_connected)
        gap = None if second is None else 1 - second
        if count == 1:
            return None if second is None else second**2, second, gap
    else:
        eigenvalues = spectra.largest(lambda x: mean.T @ (mean @ x), size, 2)
        second = None if eigenvalues is None else float(eigenvalues[1] ** 0.5)
        eigenvalue = spectra.radius(lambda x: apart(mean @ x), size)
        gap = None if eigenvalue is None else 1 - eigenvalue

    def multiply(x: Floats) -> Floats:
        return (
            sum((matrix.T @ apart(matrix @ x) for matrix in matrices), start=np.zeros(size)) / count
        )

    largest = spectra.largest(multiply, size)
    return None if largest is None else float(largest[0]), second, gap


def array_of(mixing: Mixing) -> Matrix:
    """Return the matrix of the first replica."""
    if not isinstance(mixing, SparseMixing):
        return mixing.matrix[0].double().cpu().numpy()
    csr, size = mixing.csr.cpu(), mixing.num_agents
    starts = csr.crow_indices()[: size + 1].numpy()
    columns, values = (part()[: starts[-1]].numpy() for part in (csr.col_indices, csr.values))
    parts = (values.astype(np.float64), columns.copy(), starts.copy())
    array = sparse.csr_array(parts, shape=(size, size))
    array.eliminate_zeros()
    return array


def _tidy(value: float) -> float:
    """Return a mean of whole numbers without errors of rounding, as an int if it is whole."""
    value = round(value, 6)
    return int(value) if value == int(value) else value


def _rounded(value: float | None) -> float | None:
    """Return a value rounded to 6 digits, or to 4 digits of a small distance from 0 or 1."""
    if value is None:
        return None
    margin = min(abs(value), abs(1 - value))
    return round(value, 3 - math.floor(math.log10(margin)) if 1e-10 < margin < 1e-3 else 6) + 0.0
