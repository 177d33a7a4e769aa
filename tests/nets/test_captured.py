"""A recorded function against the function itself, on numbers it has not seen."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from marlrun.nets.captured import Captured, captured, captured_with_autograd


def in_place_and_out(x: Tensor, y: Tensor):
    total = torch.zeros_like(x)
    total[:, 1:].add_(y[:, :-1]).mul_(2)
    torch.sub(x[:, :2], y[:, :2], out=total[:, 3:])
    total.neg_().clamp_(min=-1)
    return total, total.view(-1)


def copies(x: Tensor, y: Tensor):
    turned = x.T.flatten()  # a view that must be a copy
    whole = (10 * y).long()
    return turned, whole, whole.float(), x.clone().mul_(y), x.T.contiguous()


def numbers(x: Tensor, y: Tensor):
    return 1 - x, x / 3, x.sub(1).mul_(0.1), torch.where(x < 0, 0.3, y), x.masked_fill(y > 0, -9.0)


def several_results(x: Tensor, y: Tensor):
    best, where = x.topk(2, sorted=True)
    left, right = torch.cat((x, y)).chunk(2)
    return best, where, left * right, *y.unbind(1), x.sum((-2, -1)), x.new_full((2,), 7.0)


def products(x: Tensor, y: Tensor):
    result = torch.empty(5, 5)
    torch.mm(x.T, y, out=result)
    result.addmm_(y.T, x, beta=0.5)
    return result, torch.baddbmm(x[None, :1], x[None, :, :1], y[None, :1])


@pytest.mark.parametrize("function", [in_place_and_out, copies, numbers, several_results, products])
def test_repeats_bit_for_bit(function):
    recorded = Captured(function)
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        x, y = torch.randn(2, 3, 5, generator=random)
        mine, theirs = recorded(x.clone(), y.clone()), function(x, y)
        assert [a.dtype for a in mine] == [b.dtype for b in theirs]
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_reads_and_writes_other_tensors_where_they_are():
    count, scale = torch.zeros(()), torch.tensor(2.0)

    def function(x: Tensor):
        count.add_(1)
        return (x * scale + count,)

    recorded = Captured(function)
    assert [recorded(torch.tensor(10.0))[0].item() for _ in range(3)] == [21, 22, 23]
    scale.fill_(3)
    count.zero_()
    assert recorded(torch.tensor(10.0))[0].item() == 31


def test_autograd_may_keep_the_results():
    recorded, weight = Captured(lambda x: (x * 2,)), torch.ones((), requires_grad=True)
    for _ in range(2):
        (weight * recorded(torch.tensor(3.0))[0]).backward()
    assert weight.grad == 12


class Counter:
    """What it counts stands in a tensor of its own."""

    def __init__(self):
        self.count = torch.zeros(())

    @captured
    def tick(self) -> list[Tensor]:
        return [torch.zeros(()).add_(self.count.add_(1))]


def test_a_copy_counts_in_its_own_memory():
    counter = Counter()
    counter.tick()
    twin = deepcopy(counter)
    assert [twin.tick()[0].item() for _ in range(3)] == [2, 3, 4]
    assert counter.tick()[0] == 2


def test_python_runs_once():
    calls = []

    def function(x: Tensor):
        calls.append(x)
        return (x + 1,)

    recorded = Captured(function)
    for value in range(4):
        assert recorded(torch.tensor(float(value)))[0].item() == value + 1
    assert len(calls) == 1


def test_arguments_and_results_are_the_callers():
    recorded = Captured(lambda x: (x.mul_(2), x))
    given = torch.tensor([1.0])
    first, same = recorded(given)
    second, _ = recorded(torch.tensor([5.0]))
    assert given.item() == 1
    assert (first.item(), same.item(), second.item()) == (2, 2, 10)


def test_tuples_are_joined_and_twins_copied_once():
    def function(ends: Tensor, own: Tensor, other: Tensor):
        return ends * 10 + own, other + ends.sum()

    recorded = Captured(function)
    x, y, z = (torch.full((1, 1), value) for value in (1.0, 2.0, 3.0))
    for given in (((x, y), x, z), ((y, z), y, x), ((z, z), x, x), ((x, z), z, y)):
        (first, second), own, other = given
        mine = recorded(*given)
        theirs = function(torch.cat((first, second), 1), own, other)
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_another_shape_is_our_mistake():
    recorded = Captured(lambda x: (x + 1,))
    recorded(torch.zeros(3))
    with pytest.raises(AssertionError):
        recorded(torch.zeros(1))


def test_a_failed_recording_leaves_nothing_behind():
    missing = []
    recorded = Captured(lambda x: (x.add_(1), missing[0])[:1])
    with pytest.raises(IndexError):
        recorded(torch.zeros(1))
    missing.append(0)
    assert [recorded(torch.zeros(1))[0].item() for _ in range(2)] == [1, 1]


def test_a_look_at_a_value_is_our_mistake():
    recorded = Captured(lambda x: (x + 1 if x.any() else x,))
    with pytest.raises(AssertionError, match="reads a tensor"):
        recorded(torch.zeros(1))


class Regression:
    """Descends the squared error of a line, by autograd."""

    def __init__(self):
        self.rows = torch.nn.Parameter(torch.tensor([[1.0, 0.5], [2.0, -0.5]]))

    def descend(self, x, y, lr):
        slope, offset = self.rows.unsqueeze(1).unbind(-1)
        loss = ((torch.tanh(x) * slope + offset).clamp(min=-9) - y).square().mean(1)
        (gradient,) = torch.autograd.grad(loss.sum(), [self.rows])
        with torch.no_grad():
            self.rows.sub_(lr * gradient)
        return [loss, gradient]

    recorded = captured_with_autograd(descend)


def test_gradients_are_recorded_with_what_they_are_of():
    plain, recorded = Regression(), Regression()
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        x, y = torch.randn(2, 2, 7, generator=generator)
        lr = torch.tensor(0.1 / (1 + step))
        expected = plain.descend(x, y, lr)
        results = recorded.recorded(x, y, lr)
        for result, tensor in zip(results, expected, strict=True):
            assert torch.equal(result, tensor.detach())
            assert not result.requires_grad
        assert torch.equal(plain.rows, recorded.rows)
    # By hand: the slope's gradient is the mean of 2 (y' - y) tanh(x).
    slope, offset = recorded.rows.detach().clone().unsqueeze(1).unbind(-1)
    gradient = recorded.recorded(x, y, lr)[1]
    error = torch.tanh(x) * slope + offset - y
    torch.testing.assert_close(gradient[:, 0], (2 * error * torch.tanh(x)).mean(1))
