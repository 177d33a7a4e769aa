"""Older names are answered by the new ones, and what older versions stored is converted."""

import copy
from pathlib import Path

import pytest
import yaml

from marlrun.config.nested import leaves, nested
from marlrun.config.older import RENAMED, current
from marlrun.config.schema import Schema, declared

STORED = Path(__file__).parents[1] / "runner/stored"
RESULTS = sorted(Path(__file__).parents[2].glob("docs/results/*/*/config.yaml"))
NETWORKED = ["networked_ac_q", "networked_ac_v"]


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text("utf-8"))


OLDER = read(STORED / "finished/config.yaml")


def test_every_key_has_its_place():
    new = current(OLDER)["algo"]
    assert new == {
        "_target_": "marlrun.algos.networked_ac_q.NetworkedACQ",
        "critic": {"kind": "linear", "features": "team", "num_features": 10, "hidden": [24]},
        "policy": {"kind": "tabular", "num_features": 5, "hidden": [24], "radius": None},
        "steps": {
            "critic": 1.0,
            "critic_power": 0.65,
            "actor": 60.0,
            "actor_power": 0.85,
            "offset": 300,
            "average": None,
        },
        "mixing": {
            "communication": "graph",
            "message": "critic",
            "rounds": 1,
            "interval": 1,
            "aggregate": "mean",
            "tolerate": 1,
            "faulty_agents": [],
            "fault": "refuse",
        },
    }
    assert {key: value for key, value in current(OLDER).items() if key != "algo"} == {
        key: value for key, value in OLDER.items() if key != "algo"
    }


def test_it_is_converted_once_and_what_was_given_stays():
    given = copy.deepcopy(OLDER)
    new = current(given)
    assert given == OLDER
    assert current(new) == new


@pytest.mark.parametrize("name", NETWORKED)
def test_the_new_names_are_those_of_the_algorithms(name):
    keys = declared(f"algo/{name}", "algo").rules.keys() - {"algo._target_"}
    # Older versions had no other step size of mu than the critic's.
    assert {*RENAMED.values(), "algo.steps.average"} == keys


@pytest.mark.parametrize(
    "algo",
    [
        {"_target_": "mypkg.learner.Learner", "critic": "linear", "rounds": 3},
        {"_target_": "marlrun.algos.random.Random"},
        {"_target_": ["marlrun.algos.networked_ac_q.NetworkedACQ"], "rounds": 3},
        {"critic": "linear"},
        "networked_ac_q",
        None,
    ],
)
def test_what_is_not_ours_stays(algo):
    config = {"algo": algo, "env": {"rounds": 1}, "paper": [{"algo.rounds": 1}]}
    assert current(config) == config
    assert current({}) == {}


def test_unknown_keys_stay_and_a_mixture_is_left_to_be_refused():
    older = {"_target_": OLDER["algo"]["_target_"], "rounds": 2, "colour": "red"}
    assert current({"algo": older})["algo"]["colour"] == "red"
    assert current({"algo": older})["algo"]["mixing"] == {"rounds": 2, "fault": "refuse"}
    mixture = {**current(OLDER)["algo"], "rounds": 2}
    assert current({"algo": mixture})["algo"] == mixture
    schema = declared("algo/networked_ac_q", "algo")
    with pytest.raises(ValueError, match=r"^algo.rounds=2: expected algo.mixing.rounds=2, its new"):
        schema.check_all(mixture, "algo")


def test_published_values_are_beside_the_new_names():
    rows = [{"algo.communication": "none", "env.size": 3, "eval/return_mean": 0.5}, "damaged"]
    new = current({"algo": OLDER["algo"], "paper": rows})["paper"]
    assert new[0] == {
        "algo.mixing.communication": "none",
        "env.size": 3,
        "eval/return_mean": 0.5,
    }
    assert new[1] == "damaged"
    assert current({"algo": OLDER["algo"], "paper": None})["paper"] is None


def test_all_kept_results_fit_the_files_of_today():
    schemas = {name: declared(f"algo/{name}", "algo") for name in NETWORKED}
    networked = [read(path) for path in RESULTS if "networked" in path.read_text("utf-8")]
    assert len(networked) > 50
    for config in networked:
        schemas[config["choices"]["algo"]].check_all(current(config)["algo"], "algo")


@pytest.mark.parametrize(
    ("older", "value", "shown"), [("rounds", 2, "2"), ("critic", None, "null")]
)
def test_an_older_name_is_answered_by_the_new_one(older, value, shown):
    new = RENAMED[f"algo.{older}"]
    with pytest.raises(ValueError) as refusal:
        declared("algo/networked_ac_v", "algo").check(f"algo.{older}", value)
    assert str(refusal.value) == f"algo.{older}={shown}: expected {new}={shown}, its new name"


def test_a_users_file_with_an_older_name_is_answered_too():
    schema = declared("algo/networked_ac_q", "algo")
    with pytest.raises(ValueError, match=r"^algo.critic=linear: expected algo.critic.kind=linear"):
        schema.read("algo", {"critic": "linear"}, "critic: linear  # str: mine", may_add=True)
    with pytest.raises(ValueError, match=r"^algo.critic_step=0.1: expected algo.steps.critic=0.1"):
        schema.read("", {"algo": {"critic_step": 0.1}}, "algo: {critic_step: 0.1}", may_add=False)


def test_a_plugin_may_use_an_older_name():
    schema = Schema()
    values = {"rounds": 3, "mixing": {"rounds": 1}}
    schema.read("algo", values, "rounds: 3\nmixing: {rounds: 1}\n", may_add=True)
    schema.check("algo.rounds", 5)


def test_nested_is_the_way_back_from_leaves():
    config = current(OLDER)
    assert nested(dict(leaves(config))) == config


def test_an_older_ppo_learns_from_the_reward_of_its_game():
    older = {"algo": {"_target_": "marlrun.algos.ppo.PPO", "lr": 0.1}, "paper": []}
    assert current(older) == older | {"algo": older["algo"] | {"reward": None}}
    given = {"algo": {"_target_": "marlrun.algos.ppo.PPO", "reward": "inputs/0-reward.pt"}}
    assert current(given) == given


def test_an_older_dec_hdrqn_has_no_burn_in_no_leniency_and_sees_what_the_game_says():
    algo = read(Path(__file__).parents[2] / "conf/algo/dec_hdrqn.yaml")
    older = {key: value for key, value in algo.items() if "leniency" not in key} | {"beta": 0.2}
    del older["burn_in"], older["obs_scale"]
    new = current({"algo": older, "paper": []})
    assert new["algo"] == algo | {"beta": 0.2}
    declared("algo/dec_hdrqn", "algo").check_all(new["algo"], "algo")
    assert current(new) == new
