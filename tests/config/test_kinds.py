import pytest

from marlrun.config import kinds


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", [0, -3], [0.5, "3", True, None, [1]]),
        ("int [1, inf)", [1, 10**9], [0, 1.0, float("inf")]),
        ("float (0, 1]", [1, 0.5, 1e-9], [0, 0.0, 1.01, float("nan"), "0.5", False]),
        ("float", [1, -0.5], ["1", True, None, float("inf")]),
        ("bool", [True, False], [0, 1, "true", None]),
        ("str", ["a", ""], [1, None, True]),
        ("text", ["a", " "], ["", 1, None, True]),
        ("best | latest or path", ["best", "~/x", "a/b.pt"], ["", 1, None]),
        ("int [0, 9] or null", [0, None], [10, "null"]),
        ("lstm | gru", ["lstm", "gru"], ["rnn", "lstm | gru", None, True]),
        ("static | random or [int, int]", ["static", [1, -1]], [[1], [1, 0.5], [1, 1, 1], "x", 1]),
        ("list of int [1, inf)", [[], [1, 2]], [[0], 1, ["1"]]),
        ("list of 2 int [1, inf)", [[1, 2]], [[], [1], [1, 2, 3], [1, 0], [1, 1.5], 1]),
        ("list of 2 int or null", [[0, -1], None], [[1], "null"]),
        ("list of [int, float]", [[[1, 0.5]]], [[[0.5, 1]], [1]]),
        ("list or null", [[[1, "x"]], None], ["[]", 1]),
        ("dict", [{}, {"a": 1}], [[], None]),
        ("plain", [1, -0.5, True, "", "x", [], [[1, "x"], [False]]], [None, {}, [None], [{}]]),
        ("plain", [0.0, 1e38, 2**63 - 1], [float("nan"), float("inf"), 2**63, [1e39]]),
        ("dict of plain", [{}, {"a": [1, "x"]}], [[], "x", {"a": None}, {"a": {"b": 1}}]),
        ("dict of int [0, 1]", [{"a": 1}], [{"a": 1, "b": 2}, {"a": "1"}]),
    ],
)
def test_a_kind_takes_what_it_says(kind: str, good: list[object], bad: list[object]):
    assert kinds.is_kind(kind)
    assert [value for value in good if not kinds.fits(kind, value)] == []
    assert [value for value in bad if kinds.fits(kind, value)] == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int", [0, 2**63 - 1, -(2**63 - 1)]),
        ("int [1, inf)", [1, 2**63 - 1]),
        ("float (0, inf)", [1, 2**63 - 1, 1e23, 1.2e-38, 3.4e38]),
        ("float (-inf, inf)", [0, 0.0, -3.4e38]),
        ("float", [0, -1.2e-38]),
        ("list of 2 int [1, inf)", [[1, 2**63 - 1]]),
    ],
)
def test_numbers_that_the_computer_holds_are_taken(kind: str, values: list):
    assert all(kinds.fits(kind, value) for value in values)
