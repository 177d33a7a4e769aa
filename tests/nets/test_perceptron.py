"""Perceptrons with a written derivative are those of `nets/module.py`."""

import pytest
import torch

from marlrun.nets.module import MLP
from marlrun.nets.perceptron import Perceptron

CPU = torch.device("cpu")
TURNS = 300
"""So many samples that members take turns."""


def make(kind, sizes, seeds=(3, 4), **settings):
    return kind(sizes, seeds, 2, CPU, name="policy", **settings)


def learned(net, x, grad):
    """Return y, and the gradients by x and by the rows."""
    x = x.clone().requires_grad_()
    y = net(x)
    return y.detach(), *torch.autograd.grad(y, [x, net.rows], grad)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [18, 9, 4, 1], [4, 8, 12]])
@pytest.mark.parametrize("batch", [1, 6, TURNS])
def test_values_and_gradients_are_those_of_the_module(sizes, activation, batch):
    torch.manual_seed(0)
    x, grad = torch.randn(4, batch, sizes[0]), torch.randn(4, batch, sizes[-1])
    nets = [make(kind, sizes, activation=activation) for kind in (Perceptron, MLP)]
    for part, expected in zip(*(learned(net, x, grad) for net in nets), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch", [5, TURNS, 2500])
def test_without_gradients_values_are_the_same(batch):
    net, x = make(Perceptron, [3, 9, 5, 2]), torch.randn(4, batch, 3)
    y = net(x)
    with torch.no_grad():
        torch.testing.assert_close(net(x), y.detach(), atol=1e-6, rtol=1e-6)
    assert y.requires_grad


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("sizes", [[7, 25, 1], [18, 64, 64, 5]])
@pytest.mark.parametrize("batch", [TURNS, TURNS + 3])
def test_of_a_large_batch_a_replica_learns_alone_as_in_company(sizes, batch):
    assert_same_alone(sizes, 2, batch)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("sizes", [[1, 9, 5], [1, 20, 5]])
def test_a_lone_member_with_a_lone_input_learns_as_in_company(sizes):
    assert_same_alone(sizes, 1, 173)


def assert_same_alone(sizes, agents, batch):
    x = torch.randn(3, agents, batch, sizes[0])
    grad = torch.randn(3, agents, batch, sizes[-1])

    def of(seeds, x, grad):
        net = Perceptron(sizes, seeds, agents, CPU, name="policy", activation="tanh")
        # Biases are not zero after the first step.
        net.rows.data += 0.1 * net._is_live
        return learned(net, x.flatten(0, 1), grad.flatten(0, 1))

    company = of([3, 4, 5], x, grad)
    for replica, seed in enumerate((3, 4, 5)):
        alone = of([seed], x[replica : replica + 1], grad[replica : replica + 1])
        for part, of_all in zip(alone, company, strict=True):
            assert torch.equal(part, of_all[agents * replica : agents * (replica + 1)])


def test_dead_units_stay_dead():
    net = make(Perceptron, [3, 5, 2])
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        net(torch.randn(4, 6, 3)).square().sum().backward()
        optimiser.step()
    live = net._is_live.expand_as(net.rows)
    assert not net.rows[~live].any()
    assert net.rows[live].all()


def test_there_is_no_second_derivative():
    net, x = make(Perceptron, [3, 5, 1]), torch.randn(4, 6, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.square().sum().backward()
