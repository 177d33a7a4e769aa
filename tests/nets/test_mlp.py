import pytest
import torch

from marlrun.nets.mlp import MLP

CPU = torch.device("cpu")


def reference(net: MLP, rows: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The same perceptron by plain torch, from flat rows, so that autograd sees them."""
    start, sizes = 0, [weight.shape[1:] for weight, _ in net._layers]
    for layer, (inputs, outputs) in enumerate(sizes):
        weight = rows[:, start : start + inputs * outputs].view(-1, inputs, outputs)
        start += inputs * outputs
        bias = rows[:, start : start + outputs].unsqueeze(1)
        start += outputs
        x = torch.einsum("mbi,mij->mbj", x, weight) + bias
        x = x if layer == len(sizes) - 1 else x.relu()
    return x


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
