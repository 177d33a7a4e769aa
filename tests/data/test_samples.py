"""Minibatches are drawn from rows that hold samples."""

import pytest
import torch

from marlrun.data.samples import Packing, Samples, shuffled

R, S, N, FEATURES, A = 2, 7, 3, 4, 5


def make(state=None, allowed=None) -> Samples:
    obs = torch.randn(R, S, N, FEATURES)
    action = torch.randint(A, (R, S, N, 1))
    numbers = torch.randn(5, R, S, N, 1).unbind()
    sight = obs if state is None else torch.randn(R, S, state)
    counts, *others = numbers
    return Samples(obs, sight, action, counts, *others, allowed)


@pytest.mark.parametrize("state", [None, 6])
@pytest.mark.parametrize("masks", [False, True])
def test_rows_hold_samples_exactly(state, masks):
    allowed = torch.rand(R, S, N, A) < 0.5 if masks else None
    samples = make(state, allowed)
    packing = Packing(samples)
    rows = packing.rows(samples)
    assert rows.shape == (R, S, N * FEATURES + (state or 0) + 6 * N + (N * A if masks else 0))
    for part, expected in zip(packing.samples(rows), samples, strict=True):
        if expected is None:
            assert part is None
        else:
            assert torch.equal(part, expected) and part.dtype == expected.dtype


def test_each_replica_is_shuffled_by_its_own_chance_and_a_rest_is_left_out():
    rows = torch.arange(R * S).view(R, S, 1).float()
    chance = torch.tensor(
        [[0.6, 0.1, 0.5, 0.2, 0.4, 0.3, 0.0], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]
    )
    batches = list(shuffled(rows, chance, 3))
    expected = [[[6, 1], [7, 8]], [[3, 5], [9, 10]], [[4, 2], [11, 12]]]
    assert [batch.squeeze(-1).tolist() for batch in batches] == expected
