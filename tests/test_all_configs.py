"""Algorithms on environments: each pair runs, learns, and cut in two it is the same run.

By default every algorithm meets three environments and every environment three algorithms; `slow`
has all other pairs.
"""

import math
from pathlib import Path

import pytest
import torch
from demonstrations_at_hand import CLONES, LEARNERS, demonstrate_at_random
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from runner.compare import assert_same_run, rows
from teachers_at_hand import STUDENTS, teachers_of

from marlrun.runner.train import resume, train

CONF = Path(__file__).parents[1] / "conf"
ALGOS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
# A foreign game must be named, and cannot resume amid an episode: tests/foreign/test_foreign_runs.py.
# Tasks must be named too: tests/runner/test_many_tasks.py.
ENVS = sorted({path.stem for path in (CONF / "env").glob("*.yaml")} - {"pettingzoo", "tasks"})
SMALL = {
    "algo": {
        "batch": 2,
        "episodes": 8,
        "learning_starts": 20,
        "sizes": [8, 8, 8, 8],
        # Actions must show what the memory holds.
        "epsilon_steps": 50,
        "epsilon_final": 0.0,
        "rollout": 10,
        "epochs": 1,
        "ppo": {"rollout": 10, "epochs": 1, "hidden": [8], "critic_hidden": [8]},
        "discriminator": {"batch": 20, "steps": 2, "hidden": [8]},
        "replay": {"capacity": 100, "first_share": 0.2},
        "cloning": {"updates": 3, "batch": 20},
        "warmup": 2,
        "symmetries": "none",
        "collect": 4,
        "collect_every": 90,
    },
    "env": {"horizon": 7, "num_envs": 2},
    "eval": {"every": 100, "episodes": 3, "final_episodes": 4},
    "checkpoint": {"every": 50},
    "log": {"every": 50},
}
CUT = 166
OFFLINE = CLONES + STUDENTS


def make_small(config):
    """Make a job small where it can be."""
    for group, changes in SMALL.items():
        node = config[group]
        for key in changes.keys() & node.keys():
            value = changes[key]
            node[key] = node[key] | value if isinstance(value, dict) else value


def job(chosen, steps, directory):
    """Return the configuration that the command line composes, made small where it can be.

    `steps` are updates of a learner that counts them. Demonstrations, or the run of a teacher, are
    written into `directory`.
    """
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", [*chosen, "replicas=2", "device=cpu"])
    config = OmegaConf.to_container(composed, resolve=True)
    make_small(config)
    algo = chosen[0].removeprefix("algo=")
    if "networked" in algo:
        config["env"]["num_envs"] = 1
    if algo == "joint_q" and "num_agents" in config["env"]:
        # Joint actions of 20 agents are refused.
        config["env"]["num_agents"] = 2
    if algo in LEARNERS:
        path = directory / "shown.npz"
        config["algo"]["demonstrations"] = str(demonstrate_at_random(config["env"], path))
    if algo in STUDENTS:
        config["algo"]["teachers"] = teachers_of(config["env"], directory / "teacher")
    if "env=matrix_game" in chosen and "discriminator" in config["algo"]:
        # There no state tells what was done, which is refused.
        config["algo"]["discriminator"]["inputs"] = "state_action"
    return config | ({"updates": steps} if algo in OFFLINE else {"env_steps": steps})


def test_there_are_configs_to_test():
    assert {"random", "dec_hdrqn", "dec_drqn", "networked_ac_q", "networked_ac_v"} <= set(ALGOS)
    assert {"target_capture", "meeting_grid", "matrix_game"} <= set(ENVS)


def some_pairs(algos, envs, least=3):
    """Return pairs that meet every algorithm and every environment `least` times, and few more."""
    pairs = []

    def meetings(name):
        return sum(name in pair for pair in pairs)

    for algo in algos:
        pairs += [(algo, env) for env in sorted(envs, key=meetings)[:least]]
    for env in envs:
        others = sorted((algo for algo in algos if (algo, env) not in pairs), key=meetings)
        pairs += [(algo, env) for algo in others[: max(0, least - meetings(env))]]
    return pairs


SOME = some_pairs(ALGOS, ENVS)
PAIRS = [
    pytest.param(
        (f"algo={algo}", f"env={env}"),
        id=f"algo={algo} env={env}",
        marks=[] if (algo, env) in SOME else pytest.mark.slow,
    )
    for algo in ALGOS
    for env in ENVS
]
FAILING = ("graph.dynamics=link_failure", "graph.failure=0.3", "graph.every=3")
VARIANTS = [
    ("algo=dec_hdrqn", "env=meeting_grid", "algo.cell=gru", "algo.burn_in=3", "algo.leniency=2"),
    ("algo=ma_airl", "env=target_capture", "algo.reward=nearest"),
    ("algo=ma_gail", "env=meeting_grid", "algo.discriminator.view=all"),
    ("algo=networked_ac_q", "env=public_goods", "graph=directed_ring"),
    ("algo=networked_ac_q", "env=public_goods", "algo.mixing.communication=central"),
    ("algo=networked_ac_v", "env=public_goods", "graph=complete", "algo.mixing.aggregate=trim"),
    ("algo=networked_ac_q", "env=networked_spread", "graph=positions", "graph.window=25"),
    ("algo=networked_ac_v", "env=networked_spread", "graph=positions", *FAILING),
]


def test_some_pairs_are_three_for_everybody():
    for algos, envs in ((ALGOS, ENVS), (ALGOS[:3], ENVS), (ALGOS, ENVS[:3])):
        pairs = some_pairs(algos, envs)
        assert len(set(pairs)) == len(pairs) <= 3 * max(len(algos), len(envs))
        assert all(sum(name in pair for pair in pairs) >= 3 for name in [*algos, *envs])


@pytest.mark.parametrize("chosen", [*PAIRS, *VARIANTS], ids=" ".join)
def test_it_runs_and_resumes(chosen, tmp_path):
    outcome = train(job(chosen, 300, tmp_path), tmp_path / "whole", [])
    assert outcome.status == "finished", outcome.error
    log = rows(tmp_path / "whole")
    assert all(math.isfinite(value) for row in log for value in row.values())
    is_online = chosen[0] not in [f"algo={algo}" for algo in OFFLINE]
    assert any("train/return_mean" in row for row in log) == is_online
    learns = any(tag.startswith("loss/") for row in log for tag in row)
    assert learns == (chosen[0] != "algo=random")

    # Cut in the middle of an episode and of a slot of the replay.
    train(job(chosen, CUT, tmp_path), tmp_path / "parts", [])
    total = {"env_steps": 300} if is_online else {"env_steps": None, "updates": 300}
    assert resume(tmp_path / "parts", plugins=[], **total).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_cut_episode_is_dropped_from_the_replay_where_a_game_is_not_resumable(tmp_path):
    config = job(("algo=dec_hdrqn", "env=matrix_game"), 9, tmp_path) | {
        "plugins": ["runner"],
        "replicas": 1,
    }
    config["env"] = {"_target_": "runner.fakes.Foreign", "num_envs": 1, "ends": False}
    train(config, tmp_path, [])
    assert resume(tmp_path, 33, ["runner"]).status == "finished"
    state = torch.load(tmp_path / "checkpoints/step_33.pt", weights_only=True)
    # Episodes have 6 steps: one before step 9, where the second is cut, and four from there on.
    lengths = state["learner"]["replay"]["length"]
    assert lengths[lengths > 0].tolist() == [6] * 5
