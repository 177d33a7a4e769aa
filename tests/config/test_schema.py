from importlib import resources
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from marlrun.config import comments, schema
from marlrun.config.nested import leaves
from marlrun.config.schema import Rule, Schema

CONF = Path(str(resources.files("marlrun.conf")))
OTHERS = ("tuned", "experiment", "manners")
DECLARING = sorted(
    p for p in CONF.rglob("*.yaml") if not {*p.relative_to(CONF).parts, p.stem} & set(OTHERS)
)


def example() -> Schema:
    rules = Schema(groups=["algo"])
    text = "beta: 0.3 # float [0, 1]: scale\nlr: 1\nopen: {}\nname: null # str or null: a name\n"
    rules.read("algo", {"beta": 0.3, "lr": 1, "open": {}, "name": None}, text, may_add=True)
    return rules


def refusal(rules: Schema, key: str, value: object) -> str:
    with pytest.raises(ValueError) as caught:
        rules.check(key, value)
    return str(caught.value)


def test_a_dict_may_say_what_its_keys_take():
    rules = Schema()
    rules.rules["env.kwargs"] = Rule("dict of plain", "keyword arguments", {})
    for key, value in (("env.kwargs", {"a": 1}), ("env.kwargs.a", [1, "x"]), ("env.kwargs", {})):
        rules.check(key, value)
    assert rules.dicts == ["env.kwargs"]
    expected = "expected a finite number, a bool, a str or a list of these (keyword arguments)"
    assert refusal(rules, "env.kwargs.a", None) == f"env.kwargs.a=null: {expected}"
    assert refusal(rules, "env.kwargs.a.b", 1) == f"env.kwargs.a.b=1: {expected}"
    assert refusal(rules, "env.kwargs", {"a": {}}).endswith(
        "expected dict of plain (keyword arguments)"
    )
    assert refusal(rules, "env.kwarg", 1).startswith(
        "env.kwarg: no such key; did you mean env.kwargs"
    )


def test_check_names_key_value_and_what_was_expected():
    rules = example()
    rules.check("algo.beta", 1)
    rules.check("algo.beta", "${algo.lr}")
    rules.check("algo", {"beta": 0.5})
    rules.check("algo.open.any.thing", "x")
    assert refusal(rules, "algo.beta", 2) == "algo.beta=2: expected float [0, 1] (scale)"
    assert refusal(rules, "algo.beta", None) == "algo.beta=null: expected float [0, 1] (scale)"
    assert refusal(rules, "algo.lr", 0.5) == "algo.lr=0.5: expected int"
    assert refusal(rules, "algo", {"bta": 1}).startswith("algo.bta: no such key; did you mean")
    assert refusal(rules, "algo", 3) == "algo=3: expected one of its keys, beta, lr, open, name"
    assert refusal(rules, "algo.beta.x", 3).startswith("algo.beta.x: no such key")
    assert refusal(rules, "algo.name", 1).endswith("""written algo.name="'1'\"""")


BIG_INT = " (x), whole numbers of at most 9223372036854775807"
BIG_FLOAT = " (x), 0 or of a size from 1.2e-38 to 3.4e+38"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("int", 2**63, BIG_INT),
        ("int [0, inf)", 10**23, BIG_INT),
        ("int [0, inf) or null", 10**400, BIG_INT),
        ("list of 2 int [1, inf)", [1, 2**63], BIG_INT),
        ("[int, int]", [-(2**63), 0], BIG_INT),
        ("float (0, inf)", 1e300, BIG_FLOAT),
        ("float (0, inf) or null", 1e-300, BIG_FLOAT),
        ("float [0, inf)", 10**23, BIG_INT),
        ("float [0, inf)", 10**400, BIG_INT),
        ("float", -1e39, BIG_FLOAT),
        ("float", float("inf"), " (x)"),
        ("float", float("nan"), " (x)"),
        ("float (-inf, inf)", float("-inf"), " (x)"),
        ("float [0, 1]", "1e300", " (x)"),
    ],
)
def test_numbers_that_the_computer_cannot_hold_are_refused(kind: str, value: object, message: str):
    rules = Schema()
    rules.rules["algo.x"] = Rule(kind, "x", 0)
    expected = f"algo.x={schema.show(value)}: expected {kind}{message}"
    assert refusal(rules, "algo.x", value) == expected


def test_check_all_takes_final_and_complete_values_only():
    rules = example()
    values = {"beta": 0.5, "lr": 2, "open": {"any": "thing"}, "name": None}
    assert rules.check_all(values, "algo") == {
        "algo.beta": 0.5,
        "algo.lr": 2,
        "algo.open.any": "thing",
        "algo.name": None,
    }
    for change, message in (
        ({"beta": "${algo.lr}"}, r"^algo\.beta=\$\{algo\.lr\}: expected float \[0, 1\] \(scale\)$"),
        ({"lr": "???"}, r"^algo\.lr=\?\?\?: expected int$"),
        ({"bta": 0.5}, r"^algo\.bta: no such key; did you mean algo\.beta\?$"),
    ):
        with pytest.raises(ValueError, match=message):
            rules.check_all(values | change, "algo")
    for key in values:
        rest = {name: value for name, value in values.items() if name != key}
        with pytest.raises(
            ValueError, match=rf"^algo\.{key}: missing in the configuration, expected"
        ):
            rules.check_all(rest, "algo")


def test_a_file_of_ours_takes_what_the_file_it_builds_on_takes():
    base = schema.declared("algo/dec_hdrqn", "algo").rules
    rules = schema.declared("algo/dec_drqn", "algo").rules
    assert (base["algo.beta"].default, rules["algo.beta"].default) == (0.3, 1.0)
    assert rules["algo._target_"] == base["algo._target_"]
    assert rules.keys() == base.keys()


def test_a_later_file_may_change_but_not_add():
    rules = example()
    rules.read("", {"algo": {"beta": 0.9}}, "algo: {beta: 0.9}", may_add=False)
    assert rules.rules["algo.beta"] == Rule("float [0, 1]", "scale", 0.9)
    with pytest.raises(ValueError, match=r"algo\.bta: no such key; did you mean algo\.beta\?"):
        rules.read("", {"algo": {"bta": 0.9}}, "algo: {bta: 0.9}", may_add=False)
    with pytest.raises(ValueError, match=r"algo\.beta=9: expected float"):
        rules.read("", {"algo": {"beta": 9}}, "algo: {beta: 9}", may_add=False)


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("algo.bta", "algo.beta"),
        ("beta", "algo.beta"),
        ("evl.every", "eval.every"),
        ("algo.size", "algo.sizes"),
        ("alg", "algo"),
        ("frobnicate", None),
        ("algo.xyz", None),
    ],
)
def test_did_you_mean(word: str, guess: str | None):
    words = ["algo", "algo.beta", "algo.lr", "algo.sizes", "env.size", "eval.every", "log.every"]
    assert schema.did_you_mean(word, words) == (f"; did you mean {guess}?" if guess else "")


def test_did_you_mean_of_nothing():
    assert schema.did_you_mean("", []) == ""


@pytest.mark.parametrize("path", DECLARING, ids=lambda path: str(path.relative_to(CONF)))
def test_our_files_annotate_every_key_and_keep_to_it(path: Path):
    text = path.read_text("utf-8")
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    values = {key: value for key, value in loaded.items() if key not in ("defaults", "hydra")}
    assert comments.title(text)
    noted = {key for key, entry in comments.entries(text).items() if entry.note}
    assert set(dict(leaves(values))) - noted <= {"_target_"}
    Schema().read("", values, text, may_add=True)
