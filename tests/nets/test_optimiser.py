import pytest
import torch

from marlrun.nets.optimiser import MemberAdam


def descend(rows, gradients, *, max_norm=None, moves=None, l2=0.0):
    """Return rows after a step along each of `gradients`."""
    parameter = torch.nn.Parameter(rows.clone())
    optimiser = MemberAdam(parameter, max_norm, l2)
    for step, gradient in enumerate(gradients):
        waits = torch.zeros(len(rows), 1) if moves is None else 1 - moves[step]
        with torch.no_grad():
            optimiser.step(gradient.clone(), torch.tensor(0.1), waits)
    return parameter.detach()


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_it_is_adam(l2):
    torch.manual_seed(0)
    rows, gradients = torch.randn(3, 5), list(torch.randn(7, 3, 5))
    parameter = torch.nn.Parameter(rows.clone())
    adam = torch.optim.Adam([parameter], lr=0.1, weight_decay=l2)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(descend(rows, gradients, l2=l2), parameter.detach())


def test_each_member_is_clipped_by_its_own_norm():
    rows = torch.zeros(2, 2)
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    optimiser = MemberAdam(torch.nn.Parameter(rows), 1.0)
    with torch.no_grad():
        norm = optimiser.step(gradient, torch.tensor(0.1), torch.zeros(2, 1))
    torch.testing.assert_close(norm, torch.tensor([[5.0], [0.5]]))
    expected = torch.tensor([[0.06, 0.08], [0.03, 0.04]])
    torch.testing.assert_close(optimiser.state_dict()["first"], expected)


@pytest.mark.parametrize("agents", [1, 3])
def test_a_member_that_waits_is_as_if_the_steps_had_not_been(agents):
    torch.manual_seed(0)
    rows, gradients = torch.randn(2 * agents, 16), list(torch.randn(6, 2 * agents, 16))
    moves = [torch.tensor([[1.0], [float(step % 2 == 0)]]) for step in range(6)]
    together = descend(rows, gradients, moves=moves)
    expected = descend(rows[agents:], [gradient[agents:] for gradient in gradients[::2]])
    assert torch.equal(together[agents:], expected)
    assert torch.equal(together[:agents], descend(rows[:agents], [g[:agents] for g in gradients]))
