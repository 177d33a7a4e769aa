"""Teachers that know nothing, for learners that must have some in a game."""

from pathlib import Path

import yaml

from marlrun.config.nested import Config
from marlrun.runner.build import build_env
from marlrun.runner.device import choose
from marlrun.runner.train import train

CONF = Path(__file__).parents[1] / "conf/algo/dec_hdrqn.yaml"
STUDENTS = ("distill",)
"""Learners that have teachers, and count updates."""


def teachers_of(node: Config, directory: Path, plugins=(), replicas: int = 2) -> list[str]:
    """Return a finished run for each task of the game of a node `env`: one run, as often as tasks."""
    algo = yaml.safe_load(CONF.read_text()) | {"sizes": [4, 4, 4, 4], "trace": 1}
    config = {
        "algo": algo,
        "env": dict(node),
        "mode": "train",
        "name": None,
        "seed": 0,
        "replicas": replicas,
        "env_steps": 0,
        "device": "cpu",
        "threads": 1,
        "plugins": list(plugins),
        "eval": {"every": 100, "episodes": 1, "final_episodes": 1},
        "checkpoint": {"every": 100, "keep": 0, "best": "latest"},
        "log": {"every": 100},
    }
    if not directory.exists():
        assert train(config, directory, []).status == "finished"
    spec = build_env(node, [0], choose("cpu"), plugins, num_envs=1).spec
    return [str(directory)] * max(1, len(spec.tasks))
