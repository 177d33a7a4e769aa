import pytest
import torch

from marlrun.ops.moments import RunningMoments, mean_and_variance, normalised, shares

CPU = torch.device("cpu")


def of(*numbers: list[float]) -> torch.Tensor:
    """Return the samples of one replica, a list of each agent's: [1, B, N, 1]."""
    return torch.tensor(numbers).T[None, ..., None]


def test_mean_and_variance_by_hand():
    x, counts = of([1.0, 3.0, 100.0], [4.0, 4.0, 10.0]), of([1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    mean, variance = mean_and_variance(x, counts, shared=False)
    assert mean.flatten().tolist() == [2.0, 6.0]
    assert variance.flatten().tolist() == [1.0, 8.0]
    mean, variance = mean_and_variance(x, counts, shared=True)
    assert mean.item() == pytest.approx(22 / 5)
    squares = 3.4**2 + 1.4**2 + 2 * 0.4**2 + 5.6**2
    assert variance.item() == pytest.approx(squares / 5)


def test_normalised_by_hand():
    x, counts = of([1.0, 3.0, 100.0]), of([1.0, 1.0, 0.0])
    assert normalised(x, counts, shared=False).flatten().tolist() == [-1.0, 1.0, 98.0]


@pytest.mark.parametrize("number", [0.1, -7.3, 1000.1])
@pytest.mark.parametrize("count", [1, 3, 7, 100, 6400])
def test_equal_numbers_are_normalised_to_zero(number, count):
    x = torch.full((1, count, 1, 1), number)
    assert normalised(x, torch.ones_like(x), shared=False).abs().max() < 0.02


def test_shares_sum_to_one_and_none_may_count():
    counts = of([1.0, 0.0], [0.0, 0.0])
    assert shares(counts, shared=False).flatten().tolist() == [1.0, 0.0, 0.0, 0.0]
    assert shares(counts, shared=True).sum().item() == 1.0


def test_batches_merge_into_the_moments_of_all_that_counts():
    torch.manual_seed(0)
    batches = [5 + 2 * torch.randn(2, size, 2, 3) for size in (4, 1, 30)]
    counts = [(torch.rand(*x.shape[:3], 1) < 0.7).float() for x in batches]
    for shared in (False, True):
        moments = RunningMoments(2, 2, 3, CPU, shared=shared)
        for x, count in zip(batches, counts, strict=True):
            moments.add(x, count)
        together = torch.cat(batches, 1)
        expected = normalised(together, torch.cat(counts, 1), shared)
        result = moments.normalise(together)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(moments.restore(result), together)


def test_before_the_first_sample_nothing_is_changed_and_none_may_count():
    moments, x = RunningMoments(1, 1, 1, CPU, shared=False), of([2.0])
    torch.testing.assert_close(moments.normalise(x), x)
    moments.add(x, torch.zeros_like(x))
    torch.testing.assert_close(moments.normalise(x), x)
    moments.add(x, torch.ones_like(x))
    assert moments.normalise(x).item() == 0.0


def test_state_goes_round():
    moments, other = (RunningMoments(1, 2, 2, CPU, shared=False) for _ in range(2))
    moments.add(torch.randn(1, 9, 2, 2), torch.ones(1, 9, 2, 1))
    other.load_state_dict(moments.state_dict())
    x = torch.randn(1, 3, 2, 2)
    assert torch.equal(moments.normalise(x), other.normalise(x))
