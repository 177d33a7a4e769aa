import pytest
import torch

from marlrun.ops.consensus import clipped, disagreement, nearest, trimmed

EQUAL = torch.full((1, 5, 5), 0.2)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1)


def test_one_extreme_on_each_side_goes():
    x = column(0.0, 1.0, 2.0, 3.0, 100.0)
    # Agent 2 drops 0 and 100 and counts itself in their place; agent 4 has nobody above it.
    of_2, of_4 = (1 + 2 + 3 + 2 * 2) / 5, (100 + 100 + 1 + 2 + 3) / 5
    torch.testing.assert_close(trimmed(EQUAL, x, 1)[0, [2, 4], 0], torch.tensor([of_2, of_4]))
    # Clipped, they count as 1 and 3; for agent 4, 0 counts as 1.
    of_2, of_4 = (1 + 1 + 2 + 3 + 3) / 5, (1 + 1 + 2 + 3 + 100) / 5
    torch.testing.assert_close(clipped(EQUAL, x, 1)[0, [2, 4], 0], torch.tensor([of_2, of_4]))


def test_where_all_beyond_go_the_own_value_stands():
    x = column(0.0, 1.0, 2.0, 3.0, 100.0)
    for function in (trimmed, clipped):
        # Two of two above agent 2, two of two below it.
        assert function(EQUAL, x, 2)[0, 2, 0] == pytest.approx(2.0)


@pytest.mark.parametrize("function", [trimmed, clipped])
def test_only_neighbours_count(function):
    matrix = torch.tensor([[[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]]])
    x = column(1.0, 2.0, 9.0)
    # Agent 0 hears nobody below and one above it, which it ignores; agent 2 the other way round.
    assert function(matrix, x, 1).flatten().tolist() == [1.0, 2.0, 9.0]


@pytest.mark.parametrize("function", [trimmed, clipped, nearest])
def test_to_tolerate_none_is_the_mean(function):
    torch.manual_seed(0)
    matrix = torch.rand(2, 5, 5) * (torch.rand(2, 5, 5) < 0.6) + torch.eye(5)
    matrix /= matrix.sum(2, keepdim=True)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(function(matrix, x, 0), matrix @ x)


@pytest.mark.parametrize("function", [trimmed, clipped])
def test_coordinates_are_judged_one_by_one(function):
    torch.manual_seed(1)
    x = torch.randn(1, 5, 4)
    each = [function(EQUAL, x[..., k : k + 1], 1) for k in range(4)]
    torch.testing.assert_close(function(EQUAL, x, 1), torch.cat(each, -1))


def test_trimming_drops_what_is_no_number():
    x = column(0.0, 1.0, 2.0, 3.0, torch.nan)
    # Agent 1 drops NaN and 0.
    assert trimmed(EQUAL, x, 1)[0, 1, 0] == pytest.approx((1 + 1 + 2 + 3 + 1) / 5)
    assert clipped(EQUAL, x, 1)[0, 1, 0].isnan()


def test_the_furthest_goes_as_a_whole():
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]])
    heard = nearest(torch.full((1, 4, 4), 0.25), x, 1)[0]
    # Squared distances of agent 0 are 1, 4, 18: it counts itself in the place of agent 3. Those of
    # agent 3 are 18, 13, 10: agent 0 goes, and no coordinate of it stays.
    assert heard[0].tolist() == [0.25, 0.5]
    assert heard[3].tolist() == [(1 + 0 + 3 + 3) / 4, (0 + 2 + 3 + 3) / 4]


def test_only_the_furthest_of_the_neighbours_goes():
    matrix = torch.tensor([[[0.5, 0.25, 0.25, 0.0], [0.0] * 4, [0.0] * 4, [0.0] * 4]])
    x = column(0.0, 1.0, 2.0, 9.0)
    # Agent 0 does not hear agent 3; of 1 and 2 it drops 2; of two to tolerate nobody is left.
    assert nearest(matrix, x, 1)[0, 0, 0] == 0.25
    assert nearest(matrix, x, 2)[0, 0, 0] == 0.0


def test_of_equals_at_the_limit_none_goes_and_what_is_no_number_does():
    x = column(0.0, 1.0, -1.0, 1.0, torch.nan)
    assert nearest(EQUAL, x, 1)[0, 0, 0] == pytest.approx(0.2)
    # Of two to tolerate NaN is one; three are equally the other.
    assert nearest(EQUAL, x, 2)[0, 0, 0] == pytest.approx(0.2)


def test_disagreement():
    x = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # Replica 0: mean (2, 0), spread 1 + 1, against 2 * 4.
    assert disagreement(x).tolist() == [0.25, 0.0, 0.0]
