import pytest

from marlrun.config.published import check_published
from marlrun.config.schema import Rule, Schema

KNOWN = {"algo": ["dec_hdrqn", "random"], "env": ["matrix_game"]}


def check(*rows, algo: str | None = "dec_hdrqn") -> None:
    schema = Schema()
    schema.rules["paper"] = Rule("list of dict", "published values", list(rows))
    schema.rules["seed"] = Rule("int", "seed", 0)
    if algo == "dec_hdrqn":
        schema.rules["algo.beta"] = Rule("float [0, 1]", "scale", 0.2)
    check_published(schema, {"algo": algo}, lambda group: KNOWN.get(group, []))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"algo": "dec_hdrqn"}, "expected a result, such as eval/return_mean: 0.5"),
        ({"x/y": "high"}, "x/y=high: expected a number"),
        ({"x/y": True}, "x/y=true: expected a number"),
        ({"x/y": float("nan")}, "x/y=nan: expected a number"),
        ({"x/y": None}, "x/y=null: expected a number"),
        ({"x/y": 1, "algo": "dec_hdqrn"}, "algo=dec_hdqrn: expected dec_hdrqn | random; did you"),
        ({"x/y": 1, "algo.bta": 1}, "algo.bta: no such key; did you mean algo.beta?"),
        ({"x/y": 1, "algo.beta": 2}, r"algo.beta=2: expected float \[0, 1\]"),
        ({"x/y": 1, "sed": 2}, "sed: no such key; did you mean seed?"),
        ({"x/y": 1, 2: 3}, "2: no such key"),
    ],
)
def test_a_row_that_could_not_be_drawn_is_refused(row: dict, expected: str):
    check({"x/y": 1})
    with pytest.raises(ValueError, match=r"^paper\[1\]: " + expected.replace("|", r"\|")):
        check({"x/y": 1}, row)


def test_keys_are_checked_only_where_the_row_is_about_these_choices():
    row = {"algo": "dec_hdrqn", "algo.beta": 0.4, "x/y": 0.5}
    check(row)
    check(row, algo="random")
    with pytest.raises(ValueError, match=r"algo\.beta: no such key"):
        check(row | {"algo": "random"}, algo="random")
    check({"algo.beta": 0.4, "x/y": 0.5}, algo=None)


def test_most_configurations_have_none():
    check_published(Schema(), {}, lambda group: [])
