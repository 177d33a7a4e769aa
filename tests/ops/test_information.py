"""How much one variable says of another."""

import pytest
import torch

from marlrun.ops.information import mutual_information, pair_counts


def test_pairs_are_counted_by_replica_and_weight():
    x = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]])
    y = torch.tensor([[2, 0, 0, 2], [0, 1, 2, 2]])
    weight = torch.tensor([[True, True, True, False], [True] * 4])
    counts = pair_counts(x, y, (2, 3), weight)
    assert counts.tolist() == [[[0, 0, 1], [2, 0, 0]], [[0, 0, 0], [1, 1, 2]]]


@pytest.mark.parametrize(
    ("counts", "bits"),
    [
        ([[2, 0], [0, 2]], 1.0),
        ([[0, 5, 0], [0, 0, 5], [5, 0, 0]], 1.584962500721156),
        ([[1, 1], [1, 1]], 0.0),
        ([[2, 4], [3, 6]], 0.0),
        # Two of three goals have one word: h(1/3).
        ([[4, 0], [4, 0], [0, 4]], 0.9182958340544896),
        # H(X) = 1, H(Y) = h(3/8) = .9544340029, H(X, Y) = 3/8 log 8/3 + 3/8 + 1/2 = 1.4056390622
        ([[3, 1], [0, 4]], 0.5487949407),
        # What never happens changes nothing.
        ([[2, 0, 0], [0, 2, 0], [0, 0, 0]], 1.0),
    ],
)
def test_bits_worked_by_hand(counts, bits):
    table = torch.tensor(counts, dtype=torch.float64)
    assert mutual_information(table).item() == pytest.approx(bits, abs=1e-10)
    assert mutual_information(table.T).item() == pytest.approx(bits, abs=1e-10)


def test_replicas_have_numbers_of_their_own():
    tables = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]])
    assert mutual_information(tables).tolist() == [1.0, 0.0]
