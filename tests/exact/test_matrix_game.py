"""Best and mean payoffs of one-shot games."""

import pytest

from marlrun.exact import matrix_game


@pytest.mark.parametrize(
    ("game", "optimum", "random"),
    [
        ("climb", 11, -31 / 9),
        ("penalty", 10, 2 / 9),
        ("coordination", 2, 3 / 4),
        ("prisoners_dilemma", -1, -3 / 2),
        ("matching_pennies", 0, 0),
    ],
)
def test_one_round(game: str, optimum: float, random: float):
    values = matrix_game.solve(game=game, payoff=None, horizon=1, discount=1.0)
    assert values == pytest.approx({"optimum": optimum, "random": random})


def test_rounds_are_discounted():
    payoff = [[[4, 0]], [[0, 2]]]
    values = matrix_game.solve(game="climb", payoff=payoff, horizon=3, discount=0.5)
    assert values == pytest.approx({"optimum": 2 * 1.75, "random": 1.5 * 1.75})


def test_the_equilibrium_is_that_of_a_round_and_null_where_there_is_none():
    keys = {"game": "coordination", "horizon": 3, "discount": 0.5}
    (law,) = matrix_game.details(payoff=None, **keys).values()
    assert law == [
        pytest.approx([0.6103, 0.0826], abs=6e-5),
        pytest.approx([0.0826, 0.2245], abs=6e-5),
    ]
    assert matrix_game.details(payoff=[[1e4, 0], [0, 1e4]], **keys) == {"lsbre": None}
