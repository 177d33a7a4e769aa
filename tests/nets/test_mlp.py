from itertools import pairwise

import pytest
import torch

from marlrun.nets.adam import Adam
from marlrun.nets.mlp import MLP

CPU = torch.device("cpu")


def reference(net: MLP, rows: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The same perceptron by plain torch, from flat rows, so that autograd sees them."""
    start, sizes = 0, [weight.shape[1:] for weight, _ in net._layers]
    x = torch.nn.functional.pad(x, (0, sizes[0][0] - x.shape[-1]))
    for layer, (inputs, outputs) in enumerate(sizes):
        weight = rows[:, start : start + inputs * outputs].view(-1, inputs, outputs)
        start += inputs * outputs
        bias = rows[:, start : start + outputs].unsqueeze(1)
        start += outputs
        x = torch.einsum("mbi,mij->mbj", x, weight) + bias
        x = x if layer == len(sizes) - 1 else x.relu()
    return x[..., : net._num_outputs]


@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 9, 4, 1]])
@pytest.mark.parametrize("batch", [1, 4])
def test_values_and_gradients_equal_autograd(sizes, batch):
    net = MLP(sizes, [3, 4], 2, CPU)
    net.rows.add_(0.1)
    x, grad = torch.randn(4, batch, 3), torch.randn(4, batch, sizes[-1])
    rows = net.rows.clone().requires_grad_()
    expected = reference(net, rows, x)
    expected.backward(grad)
    y, tape = net.forward(x)
    torch.testing.assert_close(y, expected.detach())
    torch.testing.assert_close(net.backward(tape, grad), rows.grad)
    assert torch.equal(net.backward(tape, grad), net.backward(tape, grad))


def test_members_start_apart():
    net = MLP([3, 5, 2], [3, 4], 2, CPU)
    assert len({tuple(row.tolist()) for row in net.rows}) == 4


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("num_agents", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 5, 32])
@pytest.mark.parametrize(
    "sizes", [[7, 25, 1], [7, 3, 1], [61, 16, 9], [7, 30, 13, 6], [33, 13], [410, 1]]
)
def test_a_replica_is_alone_in_company(sizes, batch, num_agents):
    torch.manual_seed(0)
    x, grad = (torch.randn(3, num_agents, batch, size) for size in (sizes[0], sizes[-1]))

    def run(*replicas):
        net = MLP(sizes, [3 + replica for replica in replicas], num_agents, CPU)
        y, tape = net.forward(x[list(replicas)].flatten(0, 1))
        gradient = net.backward(tape, grad[list(replicas)].flatten(0, 1))
        return [part.reshape(len(replicas), num_agents, -1) for part in (y, gradient)]

    company = run(0, 1, 2)
    for replica in range(3):
        for mine, of_all in zip(run(replica), company, strict=True):
            assert torch.equal(mine[0], of_all[replica])


@pytest.mark.parametrize("sizes", [[3, 5, 9], [5, 2], [6, 8, 4]])
def test_what_is_dead_stays_dead(sizes):
    torch.manual_seed(0)
    net = MLP(sizes, [3], 1, CPU)
    num_live = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    optimizer = Adam(net.rows, 0.1)
    moved = torch.zeros_like(net.rows, dtype=torch.bool)
    for _ in range(20):
        y, tape = net.forward(torch.randn(1, 8, sizes[0]))
        optimizer.gradient.copy_(net.backward(tape, y - torch.randn(1, 8, sizes[-1])))
        moved |= optimizer.gradient != 0
        optimizer.step()
    assert (net.rows == 0).sum() == net.rows.numel() - num_live == (~moved).sum()
