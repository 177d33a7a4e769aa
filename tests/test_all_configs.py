"""Every algorithm on every environment: it runs, it learns, and cut in two it is the same run."""

import math
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from runner.compare import assert_same_state, rows

from marlrun.runner.train import resume, train

CONF = Path(__file__).parents[1] / "conf"
ALGOS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
ENVS = sorted(path.stem for path in (CONF / "env").glob("*.yaml"))
SMALL = {
    "algo": {"batch": 2, "episodes": 8, "learning_starts": 20, "sizes": [8, 8, 8, 8]},
    "env": {"horizon": 5, "num_envs": 2},
    "eval": {"every": 100, "episodes": 3, "final_episodes": 4},
    "checkpoint": {"every": 50},
    "log": {"every": 50},
}


def job(algo, env, env_steps):
    """Return the configuration that the command line composes, made small where it can be."""
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", [f"algo={algo}", f"env={env}", "replicas=2", "device=cpu"])
    config = OmegaConf.to_container(composed, resolve=True)
    for group, changes in SMALL.items():
        config[group] |= {key: value for key, value in changes.items() if key in config[group]}
    return config | {"env_steps": env_steps}


def test_there_are_configs_to_test():
    assert {"random", "dec_hdrqn", "dec_drqn"} <= set(ALGOS)
    assert {"target_capture", "meeting_grid", "matrix_game"} <= set(ENVS)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("algo", ALGOS)
def test_it_runs_and_resumes(algo, env, tmp_path):
    outcome = train(job(algo, env, 300), tmp_path / "whole", [])
    assert outcome.status == "finished", outcome.error
    log = rows(tmp_path / "whole")
    assert all(math.isfinite(value) for row in log for value in row.values())
    assert any("train/return_mean" in row for row in log)
    learns = any(tag.startswith("loss/") for row in log for tag in row)
    assert learns == (algo != "random")

    train(job(algo, env, 150), tmp_path / "halves", [])
    again = resume(tmp_path / "halves", 300, [])
    assert again.results == outcome.results
    assert rows(tmp_path / "halves") == log
    last = "checkpoints/step_300.pt"
    assert_same_state(tmp_path / "whole" / last, tmp_path / "halves" / last)
