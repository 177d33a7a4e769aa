"""Consensus weights, worked by hand and by their promises."""

import pytest
import torch
from graphs.graphs_at_hand import CPU, NAMES, links, network

from marlrun.graphs.sampling import mask_of
from marlrun.graphs.weights import LOCAL, best_constant, consensus, sinkhorn_laplacian

PATH = mask_of(links((0, 1), (1, 2), size=3), CPU)
STAR = mask_of(links((0, 1), (0, 2), (0, 3), size=4), CPU)
LONELY = mask_of(links((0, 1), size=3), CPU)
BY_HAND = {
    # Degrees 1, 2, 1.
    "metropolis": [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]],
    "lazy_metropolis": [[3 / 4, 1 / 4, 0], [1 / 4, 1 / 2, 1 / 4], [0, 1 / 4, 3 / 4]],
    "max_degree": [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]],
    "uniform_row": [[1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 2, 1 / 2]],
    "push_sum": [[1 / 2, 1 / 3, 0], [1 / 2, 1 / 3, 1 / 2], [0, 1 / 3, 1 / 2]],
    # The Laplacian's eigenvalues are 0, 1, 3: a = 2 / (3 + 1).
    "best_constant": [[1 / 2, 1 / 2, 0], [1 / 2, 0, 1 / 2], [0, 1 / 2, 1 / 2]],
    # x^2 + x y = 1 at the ends, 2 y^2 + 2 x y = 1 in the middle: x y = 1/3.
    "sinkhorn_laplacian": [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]],
}


@pytest.mark.parametrize("weights", BY_HAND)
def test_a_path_of_three(weights):
    torch.testing.assert_close(consensus(PATH, weights)[0], torch.tensor(BY_HAND[weights]))


def test_a_star():
    quarter, third = torch.tensor(0.25), torch.tensor(1 / 6)
    assert consensus(STAR, "metropolis")[0, 1, 0] == quarter
    torch.testing.assert_close(consensus(STAR, "lazy_metropolis")[0, 1, 0], third)
    # Balancing |L| of a star with n leaves: the links weigh 1 / (n + 1).
    balanced = sinkhorn_laplacian(STAR)[0]
    expected = torch.diag(torch.tensor([0.25, 0.75, 0.75, 0.75]))
    expected[0, 1:] = expected[1:, 0] = 0.25
    torch.testing.assert_close(balanced, expected)
    # Eigenvalues 0, 1, 1, 4: a = 2 / 5, and 1 - 3 a is negative.
    torch.testing.assert_close(best_constant(STAR)[0, 0, 0], torch.tensor(-0.2))


@pytest.mark.parametrize("weights", [*LOCAL, "sinkhorn_laplacian"])
def test_who_is_alone_keeps_its_own(weights):
    torch.testing.assert_close(consensus(LONELY, weights)[0, 2], torch.tensor([0.0, 0.0, 1.0]))


def test_directed_links_count_those_who_hear():
    # 0 is heard by 1 and 2; 1 by 0; 2 by nobody.
    heard = mask_of(links((0, 1), (0, 2), (1, 0), size=3, is_directed=True), CPU)
    expected = torch.tensor([[1 / 3, 1 / 2, 0], [1 / 3, 1 / 2, 0], [1 / 3, 0, 1]])
    torch.testing.assert_close(consensus(heard, "push_sum")[0], expected)


UNDIRECTED = [name for name in NAMES if name != "directed_ring"]
DOUBLY = ["metropolis", "lazy_metropolis", "max_degree", "sinkhorn_laplacian"]


@pytest.mark.parametrize("weights", [*DOUBLY, "uniform_row", "push_sum"])
@pytest.mark.parametrize("name", UNDIRECTED)
def test_every_topology_is_stochastic(name, weights):
    found = network(name, 16, [3, 4], weights=weights)
    matrix = found.draw().matrix
    ones = torch.ones(2, 16)
    assert matrix.min() >= 0 and matrix.dtype == torch.float32
    if weights != "push_sum":
        torch.testing.assert_close(matrix.sum(-1), ones)
    if weights != "uniform_row":
        torch.testing.assert_close(matrix.sum(-2), ones)
    assert found.is_push_sum == (weights == "push_sum")


@pytest.mark.parametrize("name", ["complete", "ring", "path", "torus", "hypercube"])
def test_the_best_constant_is_the_best(name):
    def second(matrix: torch.Tensor) -> float:
        return float(torch.linalg.svdvals(matrix.double())[1])

    best = network(name, 16, weights="best_constant").draw().matrix[0]
    other = network(name, 16, weights="max_degree").draw().matrix[0]
    torch.testing.assert_close(best.sum(-1), torch.ones(16))
    assert second(best) <= second(other) + 1e-6
    assert best.min() >= 0


@pytest.mark.parametrize("name", ["star", "barabasi_albert", "path", "grid"])
def test_balancing_has_converged(name):
    matrix = network(name, 64, weights="sinkhorn_laplacian").draw().matrix[0].double()
    # X |L| X: its links over X X are 1, its diagonal over X X the degrees.
    mask = (matrix - torch.diag(matrix.diag())) > 0
    degree = mask.sum(-1)
    scale = (matrix.diag() / degree).sqrt()
    torch.testing.assert_close(
        torch.where(mask, scale[:, None] * scale, 0.0), matrix * mask, rtol=1e-4, atol=1e-7
    )
