import math

import pytest
import torch

from marlrun.ops.policy_gradient import (
    clipped_policy_loss,
    divergence,
    generalised_advantages,
    value_loss,
)


def column(*numbers: float) -> torch.Tensor:
    """Return one replica's, copy's and agent's numbers over time: [1, T, 1, 1]."""
    return torch.tensor(numbers).view(1, -1, 1, 1)


def no(length: int) -> torch.Tensor:
    return torch.zeros(1, length, 1, 1, dtype=torch.bool)


def advantages(reward, value, next_value, terminated, done, gamma=0.5, lam=0.5) -> list[float]:
    result = generalised_advantages(reward, value, next_value, terminated, done, gamma, lam)
    return result.flatten().tolist()


def test_advantages_by_hand():
    # delta_0 = 1 + .5 * 2 - 4 = -2, delta_1 = 3 + .5 * 6 - 2 = 4, A_0 = -2 + .25 * 4.
    reward, value, following = column(1.0, 3.0), column(4.0, 2.0), column(2.0, 6.0)
    assert advantages(reward, value, following, no(2), no(2)) == [-1.0, 4.0]


def test_nothing_follows_a_true_end_and_the_next_value_follows_a_time_limit():
    reward, value, following = column(1.0, 3.0), column(4.0, 2.0), column(2.0, 6.0)
    end = torch.tensor([True, False]).view(1, 2, 1, 1)
    # A true end: delta_0 = 1 - 4. The clock: delta_0 = 1 + .5 * 2 - 4. Both cut the sum.
    assert advantages(reward, value, following, end, end) == [-3.0, 4.0]
    assert advantages(reward, value, following, no(2), end) == [-2.0, 4.0]


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_lambda_one_is_the_return_and_lambda_zero_one_step(gamma):
    torch.manual_seed(0)
    reward, values = torch.randn(2, 7, 3, 2), torch.randn(2, 8, 3, 2)
    value, following = values[:, :-1], values[:, 1:]
    nowhere = torch.zeros_like(reward, dtype=torch.bool)

    def of(lam):
        return generalised_advantages(reward, value, following, nowhere, nowhere, gamma, lam)

    torch.testing.assert_close(of(0.0), reward + gamma * following - value)
    discounts = gamma ** torch.arange(7.0)
    for t in range(7):
        weights = discounts[: 7 - t].view(1, -1, 1, 1)
        returns = (weights * reward[:, t:]).sum(1) + gamma ** (7 - t) * values[:, -1]
        torch.testing.assert_close(of(1.0)[:, t], returns - value[:, t])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.0, 2.0, -2.0),
        (1.5, 2.0, -2.4),  # clipped to 1.2: no more to gain
        (0.5, 2.0, -1.0),  # a loss is never clipped
        (1.5, -2.0, 3.0),
        (0.5, -2.0, 1.6),  # clipped to .8
    ],
)
def test_the_policy_loss_by_hand(ratio, advantage, loss):
    log_ratio = torch.tensor(math.log(ratio), requires_grad=True)
    result = clipped_policy_loss(log_ratio, torch.tensor(advantage), 0.2)
    assert result.item() == pytest.approx(loss, rel=1e-6)
    result.backward()
    is_clipped = (ratio - 1) * advantage > 0.2 * abs(advantage)
    assert log_ratio.grad == pytest.approx(0.0 if is_clipped else -ratio * advantage)


def test_the_value_loss_by_hand():
    value, old, target = (torch.tensor(x) for x in (3.0, 1.0, 4.0))
    assert value_loss(value, old, target, None).item() == 0.5
    # Clipped to 1 + .5: (1.5 - 4)^2 / 2.
    assert value_loss(value, old, target, 0.5).item() == 3.125
    # The larger of both: the clipped value is nearer to its target here.
    assert value_loss(value, old, torch.tensor(1.0), 0.5).item() == 2.0


def test_the_divergence_estimates_kl():
    old, new = torch.tensor([0.7, 0.3]), torch.tensor([0.4, 0.6])
    log_ratio = new.log() - old.log()
    expected = (old * (old.log() - new.log())).sum()
    torch.testing.assert_close((old * divergence(log_ratio)).sum(), expected)
    assert (divergence(torch.linspace(-3, 3, 31)) >= 0).all()
    assert divergence(torch.zeros(1)).item() == 0.0
