"""Extreme eigenvalues of large operators: the method of Lanczos, or else factors of matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse as untyped_sparse  # pyright: ignore[reportMissingTypeStubs]
from scipy.sparse import linalg as untyped_linalg  # pyright: ignore[reportMissingTypeStubs]

sparse: Any = untyped_sparse
linalg: Any = untyped_linalg

Floats = NDArray[np.float64]
Matrix = Any
"""An array, or scipy.sparse.csr_array, which has no types."""
Multiply = Callable[[Floats], Floats]

_TOLERANCE = 1e-9
_RESOLVED = 1e-7
"""A value of that tolerance that is nearer to 1 cannot be told from 1."""
_RESTARTS = 60
_THIN = 5
"""A matrix that mixes slowly and has at most so many entries in a row, on average, has factors with
few entries: rings, trees and lattices are such."""


def apart(x: Floats) -> Floats:
    """Return x without its mean, which is what agents do not agree on."""
    return x - x.mean(0)


def largest(multiply: Multiply, size: int, count: int = 1) -> Floats | None:
    """Return the `count` eigenvalues of largest modulus of a symmetric operator, descending moduli.

    None if the method of Lanczos does not find them soon, or cannot tell the last from 1.
    """
    return _largest_moduli(linalg.eigsh, multiply, size, count)


def radius(multiply: Multiply, size: int) -> float | None:
    """Return the largest modulus of the eigenvalues of an operator; None as in `largest`."""
    moduli = _largest_moduli(linalg.eigs, multiply, size, 1)
    return None if moduli is None else float(moduli[0])


def second(matrix: Matrix, is_connected: bool) -> float | None:
    """Return the second largest modulus of the eigenvalues of a symmetric matrix of row sums 1.

    None if it is not found.
    """
    if not is_connected:
        return 1.0
    moduli = largest(lambda x: apart(matrix @ apart(x)), matrix.shape[0])
    return _factored(sparse.csc_array(matrix)) if moduli is None else float(moduli[0])


def _largest_moduli(solve: Any, multiply: Multiply, size: int, count: int) -> Floats | None:
    start = np.random.default_rng(0).standard_normal(size)
    if np.linalg.norm(multiply(start)) < 1e-6 * np.linalg.norm(start):
        return np.zeros(count)
    operator = linalg.LinearOperator((size, size), matvec=multiply, dtype=np.float64)
    keys = {"v0": start, "tol": _TOLERANCE, "maxiter": _RESTARTS, "return_eigenvectors": False}
    try:
        values = solve(operator, count, which="LM", **keys)
    except linalg.ArpackNoConvergence:
        return None
    moduli = np.sort(np.abs(values))[::-1]
    return None if abs(1 - moduli[-1]) < _RESOLVED else moduli


def _factored(matrix: Matrix) -> float | None:
    """Return the value of `second` by the pseudoinverse of the Laplacian I - C, for thin matrices.

    Its largest eigenvalues are far apart even if the smallest of the Laplacian are close together.
    Negative eigenvalues of C are not computed: Gershgorin's circles must show that they are nearer
    to 0.
    """
    size = matrix.shape[0]
    if matrix.nnz > _THIN * size:
        return None
    laplacian = (sparse.eye_array(size, format="csc") - matrix)[1:, 1:].tocsc()
    try:
        solve: Multiply = linalg.splu(laplacian, permc_spec="MMD_AT_PLUS_A").solve
    except RuntimeError:  # singular: the sample of a few rounds may be disconnected
        return None

    def multiply(x: Floats) -> Floats:
        return apart(np.concatenate(([0.0], solve(apart(x)[1:]))))

    moduli = largest(multiply, size)
    if moduli is None:
        return None
    value = 1 - 1 / float(moduli[0])
    return value if 1 - 2 * matrix.diagonal().min() <= value else None
