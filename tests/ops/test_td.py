import pytest
import torch

from marlrun.ops.td import double_value, hysteretic_loss, q_learning_target, strictness

# Two traces of two steps, the last step padding: errors 2, -1 | 0.5, -4 (masked).
DELTA = torch.tensor([[2.0, 0.5], [-1.0, -4.0]])
MASK = torch.tensor([[1.0, 1.0], [1.0, 0.0]])


def test_target_by_hand():
    reward, end = torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    target = q_learning_target(reward, end, torch.tensor([2.0, 9.0, -1.0]), torch.tensor(0.9))
    torch.testing.assert_close(target, torch.tensor([2.8, 0.5, -0.9]))


def test_double_q_takes_the_choice_of_one_and_the_value_of_the_other():
    q, choice = torch.tensor([[1.0, 5.0, 3.0]]), torch.tensor([[0.0, 1.0, 2.0]])
    assert double_value(q, choice).tolist() == [3.0]


def test_squared_scales_the_error_before_squaring():
    loss, grad = hysteretic_loss(DELTA, MASK, 0.3, "squared", 4)
    # Squares of 2, 0.5 and 0.3 times -1, over all four entries.
    assert loss.item() == pytest.approx((4 + 0.25 + 0.09) / 4)
    # d loss / d q = -2 w delta / 4 with w = 1, or 0.3^2 where the error is negative
    torch.testing.assert_close(grad, torch.tensor([[-1.0, -0.25], [0.045, 0.0]]))


def test_linear_scales_the_gradient():
    loss, grad = hysteretic_loss(DELTA, MASK, 0.3, "linear", 4)
    assert loss.item() == pytest.approx((4 + 0.25 + 0.3) / 4)
    torch.testing.assert_close(grad, torch.tensor([[-1.0, -0.25], [0.15, 0.0]]))


def test_leniency_scales_the_gradient_of_negative_errors_alone():
    # The weights of a cold pair, 1, and of a warm one, exp(-2 * .5).
    weight = strictness(torch.tensor([[0.5, 0.0], [0.5, 0.0]]), 2.0)
    warm = torch.tensor(1.0).div(torch.e).item()
    torch.testing.assert_close(weight, torch.tensor([[warm, 1.0], [warm, 1.0]]))
    for form, scale in (("squared", 0.09), ("linear", 0.3)):
        loss, grad = hysteretic_loss(DELTA, MASK, 0.3, form, 4, weight)
        assert loss.item() == pytest.approx((4 + 0.25 + scale * warm) / 4)
        expected = torch.tensor([[-1.0, -0.25], [0.5 * scale * warm, 0.0]])
        torch.testing.assert_close(grad, expected)


def test_leniency_is_what_ignoring_at_random_is_in_the_mean():
    """Palmer et al. ignore the error -1 with probability 1 - exp(-K T)."""
    weight = strictness(torch.tensor(0.5), 2.0)
    delta, mask = torch.full((1, 10_000), -1.0), torch.ones(1, 10_000)
    torch.manual_seed(0)
    ignored = torch.rand(delta.shape) < 1 - weight
    loss, grad = hysteretic_loss(delta, mask, 1.0, "linear", 10_000, weight.expand_as(delta))
    sampled_loss, sampled_grad = hysteretic_loss(delta, mask * ~ignored, 1.0, "linear", 10_000)
    # Four standard errors of a share of 10,000.
    assert abs(sampled_loss - loss) <= 0.02
    assert abs(sampled_grad.sum() - grad.sum()) <= 0.04


def test_beta_one_is_the_mean_squared_error():
    for form in ("squared", "linear"):
        loss, _ = hysteretic_loss(DELTA, MASK, 1.0, form, 4)
        assert loss.item() == pytest.approx((4 + 0.25 + 1) / 4)


@pytest.mark.parametrize("form", ["squared", "linear"])
def test_gradient_is_that_of_autograd(form):
    target, mask = torch.randn(3, 4, 8), (torch.rand(3, 4, 8) < 0.8).float()
    q = torch.randn(3, 4, 8, requires_grad=True)
    loss, grad = hysteretic_loss(target - q, mask, 0.4, form, 32)
    loss.sum().backward()
    assert q.grad is not None
    torch.testing.assert_close(grad.detach(), q.grad)


def test_members_keep_their_own_loss():
    loss, _ = hysteretic_loss(torch.stack((DELTA, 2 * DELTA)), MASK, 0.3, "squared", 4)
    assert loss[1].item() == pytest.approx(4 * loss[0].item())
