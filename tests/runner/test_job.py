"""A stored configuration is held to the files in conf/, by key, type and range."""

import copy
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from runner.fakes import config

from marlrun.config.older import current
from marlrun.runner.job import read_job


def defaults(path: str) -> dict[str, Any]:
    return yaml.safe_load((files("marlrun.conf") / f"{path}.yaml").read_text("utf-8"))


OURS = config(algo=defaults("algo/dec_hdrqn"), env=defaults("env/target_capture"))


def changed(path: str, *value: object) -> dict[str, Any]:
    """Return the configuration with another value at `path`, or none."""
    job = copy.deepcopy(OURS)
    *parents, key = path.split(".")
    node = job
    for parent in parents:
        node = node[parent]
    node.pop(key, None)
    for one in value:
        node[key] = one
    return job


def refusal(job: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as caught:
        read_job(job)
    (line,) = str(caught.value).splitlines()
    return line


def test_what_is_right_is_read():
    job = read_job(OURS)
    assert (job.seeds, job.num_envs, job.eval_every, job.name) == ((3, 4), 1, 40, None)
    assert (job.algo, job.env) == (OURS["algo"], OURS["env"])
    assert read_job(changed("algo.beta", 1)).algo["beta"] == 1
    assert read_job(changed("env.motion", "random")).env["motion"] == "random"
    assert read_job(changed("choices", {"algo": "dec_drqn", "env": "target_capture"}))


STORED = sorted(Path(__file__).parents[2].glob("docs/results/*/config.yaml"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_what_older_versions_stored_is_read(path):
    stored = current(yaml.safe_load(path.read_text("utf-8")))
    assert read_job(stored).algo == stored["algo"]


def test_a_later_key_counts_where_it_is_stored():
    assert read_job(changed("paper", [{"algo": "dec_hdrqn", "eval/return_mean": 0.76}]))


def test_published_values_are_typed_and_stored(tmp_path):
    typed = "paper=[{algo: dec_hdrqn, env.size: 3, eval/return_mean: 0.76}]"
    chosen = ["algo=random", "env=target_capture", "env.size=3", "env_steps=0"]
    command = [sys.executable, "-m", "marlrun", *chosen, typed, "hydra.run.dir=run"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    stored = yaml.safe_load((tmp_path / "run/config.yaml").read_text("utf-8"))
    assert stored["paper"] == [{"algo": "dec_hdrqn", "env.size": 3, "eval/return_mean": 0.76}]
    assert read_job(stored)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("algo.lr", "fast", "float (0, inf) ("),
        ("algo.gamma", "lots", "float [0, 1] ("),
        ("algo.gamma", "${algo.beta}", "float [0, 1] ("),
        ("algo.beta_final", "???", "float [0, 1] or null ("),
        ("algo.cell", "rnn", "lstm | gru ("),
        ("algo.sizes", [8, 0, 8, 8], "list of 4 int [1, inf) ("),
        ("algo.sizes", [-1, 8, 8, 8], "list of 4 int [1, inf) ("),
        ("algo.sizes", [8, 8, 8], "list of 4 int [1, inf) ("),
        ("env.size", "big", "int [2, 64] ("),
        ("env.size", 4.5, "int [2, 64] ("),
        ("env.targets", "two", "one | each ("),
        ("env.motion", [1], "static | random or [int, int] ("),
        ("env.num_envs", 0, "int [1, inf) ("),
        ("threads", 99999999999999, "int [1, 1024] ("),
        ("seed", -1, "int [0, 4294967295] ("),
        ("device", "tpu", "auto | cpu | cuda ("),
        ("name", 7, "text or null ("),
        ("plugins", "mypkg", "list of str ("),
        ("paper", [0.76], "list of dict ("),
        ("log.every", 0, "int [1, inf) ("),
        ("eval", 5, "one of its keys, every, episodes, final_episodes"),
        ("choices", "dec_drqn", "dict ("),
        ("env", 3, "a configuration with a _target_"),
    ],
)
def test_what_does_not_fit_is_named(path, value, expected):
    assert refusal(changed(path, value)).startswith(f"{path}={value}: expected {expected}")


@pytest.mark.parametrize("path", ["algo.lr", "env.horizon", "env_steps", "eval.every", "seed"])
def test_what_is_missing_is_named(path):
    assert refusal(changed(path)).startswith(f"{path}: missing in the configuration, expected ")


@pytest.mark.parametrize(
    ("path", "guess"),
    [
        ("algo.bta", "algo.beta"),
        ("env.sise", "env.size"),
        ("env_step", "env_steps"),
        ("log.evry", "log.every"),
    ],
)
def test_a_misspelt_key_is_named(path, guess):
    assert refusal(changed(path, 1)) == f"{path}: no such key; did you mean {guess}?"


def test_only_what_our_files_name_is_a_target_of_ours():
    said = refusal(changed("algo._target_", "marlrun.algos.dec_hdrqn.DecHDRQNSettings"))
    assert said.startswith(
        "algo._target_=marlrun.algos.dec_hdrqn.DecHDRQNSettings: expected one of marlrun."
    )


def test_classes_from_outside_may_take_anything_but_copies_are_counted():
    assert read_job(config(algo__layers=[{"size": "any"}])).algo["layers"] == [{"size": "any"}]
    assert refusal(config(env__num_envs=0)).startswith("env.num_envs=0: expected int [1, inf) (")
