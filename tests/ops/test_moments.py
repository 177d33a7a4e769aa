import torch

from marlrun.ops.moments import RunningMoments, mean_and_variance

CPU = torch.device("cpu")


def test_weighted_mean_and_variance_by_hand():
    x = torch.tensor([[[1.0], [3.0], [100.0]]])
    mean, variance = mean_and_variance(x, torch.tensor([[[0.5], [0.5], [0.0]]]))
    assert mean.item() == 2.0
    assert variance.item() == 1.0


def test_batches_merge_into_the_moments_of_all_that_counts():
    torch.manual_seed(0)
    moments = RunningMoments(2, 3, CPU)
    batches = [5 + 2 * torch.randn(2, size, 3) for size in (4, 1, 30)]
    counts = [(torch.rand(2, len(x[0]), 1) < 0.7).float() for x in batches]
    for x, count in zip(batches, counts, strict=True):
        moments.add(x, count)
    for member in range(2):
        parts = zip(batches, counts, strict=True)
        x = torch.cat([x[member][count[member, :, 0] == 1] for x, count in parts])
        expected = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-8).sqrt()
        wide = x.expand(2, -1, -1)
        torch.testing.assert_close(moments.normalise(wide)[member], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(moments.restore(moments.normalise(wide)), wide)


def test_before_the_first_sample_nothing_is_changed_and_none_may_count():
    moments, x = RunningMoments(1, 1, CPU), torch.tensor([[[2.0]]])
    torch.testing.assert_close(moments.normalise(x), x)
    moments.add(x, torch.zeros(1, 1, 1))
    torch.testing.assert_close(moments.normalise(x), x)
    moments.add(x, torch.ones(1, 1, 1))
    assert moments.normalise(x).item() == 0.0


def test_state_goes_round():
    moments, other = RunningMoments(1, 2, CPU), RunningMoments(1, 2, CPU)
    moments.add(torch.randn(1, 9, 2), torch.ones(1, 9, 1))
    other.load_state_dict(moments.state_dict())
    x = torch.randn(1, 3, 2)
    assert torch.equal(moments.normalise(x), other.normalise(x))
