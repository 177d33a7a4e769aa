"""A stored run acts in Python as it does in evaluation."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from runner.compare import record
from runner.fakes import config

import marlrun
from marlrun.runner.build import build_env
from marlrun.runner.evaluate import evaluate_run, play
from marlrun.runner.stored import load_learner, open_run
from marlrun.runner.train import train
from marlrun.runner.trained_policy import TrainedPolicy
from marlrun.streams import derive

CPU = torch.device("cpu")
QUICK = ["replicas=3", "seed=5", "eval.episodes=2", "eval.final_episodes=4"]
RUNS = {
    "dec_hdrqn": [
        *("algo=dec_hdrqn", "env=target_capture", "env.size=3", "env.flicker=0.3"),
        *("env.horizon=12", "env_steps=200", "algo.trace=4", "algo.batch=4", "algo.episodes=8"),
        *("algo.learning_starts=1", "algo.eval_epsilon=0.2"),
    ],
    "networked_ac_q": ["algo=networked_ac_q", "env=public_goods", "graph=ring", "env_steps=100"],
    "tabular": [
        *("algo=networked_ac_v", "env=networked_mdp", "env.num_states=5", "env_steps=100"),
        *("algo.policy.kind=tabular", "graph=star", "graph.weights=uniform_row"),
    ],
    "random": ["algo=random", "env=meeting_grid", "env_steps=50"],
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("runs")
    return {
        name: marlrun.train(*words, *QUICK, f"hydra.run.dir='{top / name}'")
        for name, words in RUNS.items()
    }


SETTINGS = {
    "checkpoint": "best",
    "video": False,
    "seed": None,
    "device": "cpu",
    "threads": 1,
    "plugins": [],
}


class Recorded:
    """A policy whose actions are written down."""

    def __init__(self, policy):
        self.policy, self.actions = policy, []

    def __call__(self, step):
        action = self.policy(step)
        self.actions.append(action[:, 0].tolist())
        return action


def evaluated(directory, first_seed, replica):
    """Return a replica's actions and returns in an episode that evaluation plays."""
    run = open_run(directory, "cpu", ["runner"])
    seeds = [derive(first_seed + r, "mode=eval") for r in range(len(run.job.seeds))]
    env = build_env(run.job.env, seeds, CPU, ["runner"], num_envs=1)
    learner = load_learner(run, env, "best").learner
    policy = Recorded(learner.policy(explore=False, seeds=seeds))
    columns = play(env, policy)
    returns = [float(columns[f"agent/{name}/return"][replica, 0]) for name in env.spec.agent_names]
    length = int(columns["eval/length_mean"][replica, 0])
    return [actions[replica] for actions in policy.actions[:length]], returns


def acted(policy: TrainedPolicy, seed: int):
    """Return the actions and the returns of an episode that is played by dictionaries."""
    game = policy.env()
    spec = game._env.spec
    observations, _ = game.reset(seed=derive(seed, "mode=eval"))
    policy.reset()
    actions, returns = [], torch.zeros(spec.num_agents)
    while game.agents:
        action = policy.act(observations)
        weight = spec.reward_weight * spec.discount ** len(actions)
        actions.append([action[agent] for agent in policy.agents])
        observations, rewards, *_ = game.step(action)
        returns.add_(torch.tensor([rewards[agent] for agent in policy.agents]), alpha=weight)
    return actions, returns.tolist()


@pytest.mark.parametrize("name", RUNS)
def test_a_replica_acts_to_the_bit_as_in_its_evaluation(stored, name):
    episodes = []
    for replica in range(3):
        policy = marlrun.load(stored[name], replica=replica)
        episodes.append(acted(policy, 5 + replica))
        assert episodes[-1] == evaluated(stored[name], 5, replica)
    assert episodes[0] != episodes[1] != episodes[2], "replicas have seeds of their own"


@pytest.mark.parametrize("name", ["dec_hdrqn", "networked_ac_q"])
def test_the_seed_is_that_of_mode_eval(stored, name):
    policy = marlrun.load(stored[name], replica=1, seed=41)
    assert acted(policy, 41) == evaluated(stored[name], 40, 1)
    other = marlrun.load(stored[name], replica=1, seed=42)
    assert acted(other, 41)[0] != evaluated(stored[name], 40, 1)[0], "of the actions alone"


def test_a_plugin_and_a_learner_of_another_shape(tmp_path):
    train(config(), tmp_path / "run", [])
    line = "env._target_=runner.fakes.Walk: expected a class in marlrun.envs, or in a package"
    with pytest.raises(ValueError, match=re.escape(line)):
        marlrun.load(tmp_path / "run")
    for replica in (0, 1):
        policy = marlrun.load(tmp_path / "run", replica=replica, plugins=["runner"])
        assert policy.agents == ["left", "right"]
        assert acted(policy, 3 + replica) == evaluated(tmp_path / "run", 3, replica)


@pytest.mark.parametrize("name", ["finished", "interrupted", "sweep/0_seed=0"])
def test_runs_of_an_earlier_version_act(name):
    directory = Path(__file__).with_name("stored") / name
    policy = marlrun.load(directory)
    first_seed = policy.config["seed"]
    assert acted(policy, first_seed) == evaluated(directory, first_seed, 0)
    assert (policy.results == {}) == (name == "interrupted")


def test_memory_lasts_until_reset(stored):
    policy = marlrun.load(stored["dec_hdrqn"])
    policy._policy.epsilon = lambda: 0.0
    rng = np.random.default_rng(0)
    seen = [{agent: rng.uniform(-0.5, 0.5, 4) for agent in policy.agents} for _ in range(30)]

    def values():
        """Return the hidden state after each observation."""
        kept = []
        for observations in seen:
            policy.act(observations)
            kept.append(torch.stack(policy._policy.memory).clone())
        return torch.stack(kept)

    policy.reset()
    first, second = values(), values()
    policy.reset()
    assert torch.equal(first, values()) and not torch.equal(first, second)


def test_a_policy_tells_of_its_run(stored):
    policy = marlrun.load(stored["random"], replica=2)
    assert policy.directory == stored["random"] and policy.agents == ["agent_0", "agent_1"]
    assert policy.config["replicas"] == 3 and type(policy.config["env"]) is dict
    results = record(stored["random"])["results"]
    assert policy.results == {tag: values[2] for tag, values in results.items()}
    assert policy.results["eval/return_mean"] != results["eval/return_mean"][1]
    assert policy.env().metadata["name"] == "meeting_grid_v0"
    assert policy.env(render_mode="ansi").render_mode == "ansi"


def test_loading_says_nothing_and_changes_neither_the_run_nor_the_threads(stored, capfd):
    def files():
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    run, threads = stored["tabular"], torch.get_num_threads()
    before = files()
    torch.set_num_threads(threads + 1)
    try:
        policy = marlrun.load(run, checkpoint="latest")
        acted(policy, 5)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert capfd.readouterr() == ("", "") and files() == before
    evaluate_run(run, episodes=1, **SETTINGS)
    assert "marlrun: " in capfd.readouterr().err, "where the command line does speak"


# Wrong input


@pytest.fixture
def policy(stored) -> TrainedPolicy:
    policy = marlrun.load(stored["random"])
    policy.reset()
    return policy


GOOD = {"agent_0": np.zeros(6), "agent_1": [0] * 6}
WRONG = {
    "missing": (
        {"agent_0": np.zeros(6)},
        "observation of agent_1: missing, expected an array of 6 numbers",
    ),
    "what reset returns": (
        (GOOD, {}),
        "observations: got tuple, expected a dict by agent's name",
    ),
    "unknown": (
        {**GOOD, "agent_2": np.zeros(6)},
        "no agent 'agent_2': expected agent_0, agent_1; did you mean agent_0?",
    ),
    "shape": (
        {**GOOD, "agent_1": np.zeros(3)},
        "observation of agent_1: shape (3,), expected (6,)",
    ),
    "batch": (
        {**GOOD, "agent_1": np.zeros((1, 6))},
        "observation of agent_1: shape (1, 6), expected (6,)",
    ),
    "nan": (
        {**GOOD, "agent_1": [0] * 5 + [np.nan]},
        "observation of agent_1: holds nan or inf, expected finite numbers",
    ),
    "text": (
        {**GOOD, "agent_0": ["a", "b"]},
        "observation of agent_0: expected an array of 6 numbers",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_observations(policy, case):
    observations, line = WRONG[case]
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        policy.act(observations)
    assert set(policy.act(GOOD)) == {"agent_0", "agent_1"}, "and no harm is done"


def test_act_before_reset(stored):
    line = "act() before reset(): expected reset() first"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        marlrun.load(stored["random"]).act(GOOD)


def test_where_all_agents_see_the_state_they_see_the_same(stored):
    policy = marlrun.load(stored["tabular"])
    policy.reset()
    seen = {agent: np.eye(5)[3] for agent in policy.agents}
    policy.act(seen)
    for wrong in (np.eye(5)[2], np.full(5, 0.2), np.ones(5)):
        one = {**seen, "agent_1": wrong}
        every = dict.fromkeys(policy.agents, wrong)
        line = "expected the state, one-hot, the same for all agents of this game"
        with pytest.raises(ValueError, match=f"^observation of agent_1: {line}$"):
            policy.act(one)
        if wrong.max() != 1 or wrong.sum() != 1:
            with pytest.raises(ValueError, match=f"^observation of agent_0: {line}$"):
                policy.act(every)


def test_a_game_that_masks_actions_needs_infos(tmp_path):
    node = {"_target_": "runner.fakes.Masked", "num_envs": 2}
    algo = {"_target_": "marlrun.algos.random.Random"}
    train(config(env=node, algo=algo, env_steps=0), tmp_path / "run", [])
    policy = marlrun.load(tmp_path / "run", plugins=["runner"])
    policy.reset()
    observations, infos = policy.env().reset()
    assert set(policy.act(observations, infos)) == {"left", "right"}
    nothing = infos | {"right": {"action_mask": np.zeros(3)}}
    line = "infos of right: action_mask allows nothing, expected an action"
    with pytest.raises(ValueError, match=f"^{line}$"):
        policy.act(observations, nothing)


def test_damaged_results(stored, tmp_path):
    run = Path(shutil.copytree(stored["random"], tmp_path / "run"))
    content = record(run)
    for results in ({"eval/return_mean": 3}, {"eval/return_mean": []}, {"a": [None] * 3}):
        (run / "run.json").write_text(json.dumps({**content, "results": results}))
        with pytest.raises(ValueError, match="results: expected a list of numbers, one a seed$"):
            marlrun.load(run)
    (run / "run.json").unlink()
    assert marlrun.load(run).results == {}
