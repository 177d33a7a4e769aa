"""How a payoff is read."""

import numpy as np
import pytest

from marlrun.envs.common.payoffs import NAMED, read


def test_one_matrix_is_common():
    assert np.array_equal(read("climb", [[1, 2, 3], [4, 5, 6]]), [[[1, 2, 3], [4, 5, 6]]] * 2)


def test_one_matrix_per_agent():
    payoff = [[[1, 2]], [[3, 4]]]
    assert np.array_equal(read("climb", payoff), payoff)


def test_common_to_three_agents_unless_it_looks_like_two():
    assert read("climb", np.zeros((3, 2, 2)).tolist()).shape == (3, 3, 2, 2)
    assert read("climb", np.zeros((2, 2, 2)).tolist()).shape == (2, 2, 2)
    assert read("climb", np.zeros((3, 2, 2, 2)).tolist()).shape == (3, 2, 2, 2)


def test_dilemma_and_pennies_are_as_written_in_the_books():
    dilemma, pennies = read("prisoners_dilemma", None), read("matching_pennies", None)
    assert dilemma[:, 1, 0].tolist() == [0, -3]
    assert dilemma[:, 0, 1].tolist() == [-3, 0]
    assert np.array_equal(pennies[0], -pennies[1])
    assert all(read(name, None).shape[0] == 2 for name in NAMED)


@pytest.mark.parametrize(
    "payoff", [[], [1, 2], [[1, 2], [3]], [["a", "b"]], [[float("nan"), 1]], [[]]]
)
def test_what_is_no_game_is_refused(payoff: list):
    with pytest.raises(ValueError, match=r"^env\.payoff: got .* expected"):
        read("climb", payoff)


@pytest.mark.parametrize("number", [1e308, -1.01e9, 10**400, 1e-31, -1e-300, float("inf")])
def test_numbers_that_single_precision_cannot_play_with_are_refused(number: float):
    with pytest.raises(ValueError) as caught:
        read("climb", [[number, 1], [0, 1]])
    assert str(caught.value) == (
        f"env.payoff: got [[{number!r}, 1], [0, 1]], expected a full matrix, or one per agent, "
        "of numbers that are 0 or of a size from 1e-30 to 1e+09"
    )


def test_the_largest_and_the_smallest_numbers_are_played_with():
    payoff = [[1e9, -1e9], [1e-30, 0]]
    assert read("climb", payoff).tolist() == [payoff, payoff]


def test_unknown_game_is_refused():
    with pytest.raises(ValueError, match=r"^env\.game: got 'climbing', expected one of climb"):
        read("climbing", None)
