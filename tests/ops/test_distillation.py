"""Losses of distillation: numbers worked by hand, and gradients against autograd."""

from math import log

import pytest
import torch
import torch.nn.functional as F

from marlrun.ops.distillation import FORBIDDEN, distillation_loss

LN = log(2), log(3)


def of_one(q, teacher_q, loss, temperature=1.0):
    """Return loss and gradient of one step."""
    q, teacher_q = (torch.tensor(values).view(1, 1, -1) for values in (q, teacher_q))
    value, grad = distillation_loss(q, teacher_q, torch.ones(1, 1), loss, temperature)
    return value.item(), grad.flatten()


def test_kl_by_hand():
    # p = (2, 1, 1) / 4 at temperature 2, s = (1, 3, 4) / 8
    value, grad = of_one([0.0, LN[1], 2 * LN[0]], [2 * LN[0], 0.0, 0.0], "kl", temperature=2.0)
    assert value == pytest.approx(0.5 * log(4) + 0.25 * log(2 / 3) + 0.25 * log(1 / 2))
    torch.testing.assert_close(grad, torch.tensor([1 / 8 - 1 / 2, 3 / 8 - 1 / 4, 1 / 2 - 1 / 4]))


def test_mse_by_hand():
    value, grad = of_one([1.0, 2.0, -1.0], [0.5, 2.0, 1.0], "mse", temperature=0.01)
    assert value == pytest.approx(0.25 + 4.0)
    torch.testing.assert_close(grad, torch.tensor([1.0, 0.0, -4.0]))


def test_nll_by_hand():
    # s = (1, 3, 4) / 8; the teacher's best action is the second.
    value, grad = of_one([0.0, LN[1], 2 * LN[0]], [0.1, 0.3, 0.2], "nll")
    assert value == pytest.approx(log(8 / 3))
    torch.testing.assert_close(grad, torch.tensor([1 / 8, -5 / 8, 1 / 2]))


def test_the_mean_leaves_padding_out():
    q = torch.tensor([[[1.0], [5.0]], [[2.0], [7.0]]])
    mask = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    value, grad = distillation_loss(q, torch.zeros(2, 2, 1), mask, "mse", 1.0)
    assert value.item() == pytest.approx((1 + 4) / 2)
    assert grad.flatten().tolist() == [1.0, 0.0, 2.0, 0.0]
    nothing, grad = distillation_loss(q, torch.zeros(2, 2, 1), mask * 0, "mse", 1.0)
    assert nothing.item() == 0 and not grad.any()


def test_only_the_teacher_is_divided_by_the_temperature():
    q, teacher_q = [0.3, -0.2], [0.01, 0.02]
    divided = of_one(q, [1.0, 2.0], "kl", temperature=1.0)
    assert of_one(q, teacher_q, "kl", temperature=0.01)[0] == pytest.approx(divided[0])


def test_a_student_that_is_its_teacher_has_no_loss():
    for loss in ("kl", "mse"):
        value, grad = of_one([0.4, -0.1, 2.0], [0.4, -0.1, 2.0], loss)
        assert value == pytest.approx(0, abs=1e-6) and grad.abs().max() < 1e-6


def test_nll_is_kl_at_a_temperature_near_zero():
    q, teacher_q = [0.3, -0.2, 1.0], [0.10, 0.12, 0.11]
    for low in (1e-4, 1e-30):
        value, grad = of_one(q, teacher_q, "kl", low)
        expected, expected_grad = of_one(q, teacher_q, "nll")
        assert value == pytest.approx(expected)
        torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("loss", ["kl", "mse", "nll"])
def test_forbidden_actions_count_for_nothing(loss):
    short = of_one([0.3, -0.2], [0.2, 0.1], loss, 0.5)
    value, grad = of_one([0.3, -0.2, FORBIDDEN], [0.2, 0.1, FORBIDDEN], loss, 0.5)
    assert value == pytest.approx(short[0])
    assert grad.tolist() == [*short[1].tolist(), 0.0]


@pytest.mark.parametrize("temperature", [0.01, 1.0])
@pytest.mark.parametrize("loss", ["kl", "mse", "nll"])
def test_gradients_equal_autograd(loss, temperature):
    random = torch.Generator().manual_seed(0)
    q, teacher_q = torch.randn(2, 3, 4, 5, 6, generator=random)
    mask = (torch.rand(3, 4, 5, generator=random) < 0.7).float()
    q.requires_grad_()
    value, grad = distillation_loss(q, teacher_q, mask, loss, temperature)
    if loss == "kl":
        p = (teacher_q / temperature).softmax(-1)
        steps = F.kl_div(q.log_softmax(-1), p, reduction="none").sum(-1)
    elif loss == "mse":
        steps = F.mse_loss(q, teacher_q, reduction="none").sum(-1)
    else:
        steps = F.cross_entropy(q.flatten(0, 2), teacher_q.argmax(-1).flatten(), reduction="none")
        steps = steps.view_as(mask)
    expected = (steps * mask).sum((1, 2)) / mask.sum((1, 2))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), q)[0])
