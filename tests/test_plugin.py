"""A package of a user's own: algorithms and a game, by the command a user types."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mymarl
import pytest
import torch
from hydra import compose, initialize_config_module
from mymarl.algos.reinforce import Reinforce, returns_to_go
from mymarl.algos.tabular_q import TabularQ
from mymarl.envs.corridor import Corridor
from mymarl.exact import corridor
from omegaconf import OmegaConf
from runner.compare import assert_same_run

from marlrun import exact
from marlrun.checks.compare import copied, require_same
from marlrun.report.cli import main as report
from marlrun.runner.train import resume, train
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
PACKAGE = Path(str(mymarl.__file__)).parent
PLUGINS = ["mymarl"]


def marlrun(*overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "marlrun", *overrides]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def job(*overrides: str) -> dict:
    """Return the configuration that the command line composes."""
    search = f"hydra.searchpath=[file://{PACKAGE / 'conf'}]"
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", [search, "plugins=[mymarl]", "device=cpu", *overrides])
    return OmegaConf.to_container(composed, resolve=True)


def test_reinforce_learns_coordination_by_the_command_line(tmp_path):
    chosen = ["--config-dir", str(PACKAGE / "conf"), "algo=reinforce", "env=matrix_game"]
    settings = ["env.game=coordination", "replicas=10", f"hydra.run.dir={tmp_path / 'run'}"]
    done = marlrun(*chosen, *settings, "plugins=[mymarl]", "device=cpu")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/run.json").read_text())["results"]
    assert len(results["eval/return_fraction"]) == 10
    assert min(results["eval/return_fraction"]) >= 0.95

    refused = marlrun("mode=eval", f"run={tmp_path / 'run'}")
    assert refused.returncode == 2
    assert refused.stderr.startswith("marlrun: algo._target_=mymarl.algos.reinforce.Reinforce: ")
    measured = marlrun("mode=eval", f"run={tmp_path / 'run'}", "plugins=[mymarl]", "episodes=100")
    assert json.loads(measured.stdout.splitlines()[-1])["eval/return_mean"] >= 1.9


def test_settings_of_a_game_for_all_algorithms_are_named(tmp_path):
    chosen = ["--config-dir", str(PACKAGE / "conf"), "algo=reinforce", "plugins=[mymarl]"]
    few = ["env_steps=0", "eval.final_episodes=1", "eval.episodes=1"]
    for env, settings in (
        ("push", "tuned for reinforce on push by conf/tuned/any/algo_push.yaml"),
        ("spread", "nothing is tuned for reinforce on spread: general defaults"),
    ):
        done = marlrun(*chosen, f"env={env}", *few, f"hydra.run.dir={tmp_path / env}")
        assert f"settings: {settings}" in done.stderr.splitlines(), done.stderr


def test_the_corridor_is_solved_by_the_command_line():
    chosen = ["--config-dir", str(PACKAGE / "conf"), "mode=exact", "env=corridor"]
    done = marlrun(*chosen, "env.length=2", "env.slip=0", "env.horizon=1", "plugins=[mymarl]")
    assert json.loads(done.stdout.splitlines()[-1]) == {"optimum": 1.0, "random": 0.25}
    done = marlrun(*chosen)
    assert json.loads(done.stdout.splitlines()[-1]) == {"optimum": None, "random": None}
    assert "no exact solution for mymarl.envs.corridor.Corridor: PACKAGE.envs" in done.stdout


def test_reinforce_learns_the_corridor(tmp_path):
    config = job("algo=reinforce", "env=corridor", "replicas=10", "eval.every=32000")
    results = train(config, tmp_path, []).results
    assert min(results["eval/return_fraction"]) >= 0.95


def test_tabular_q_learns_the_corridor_to_the_optimum(tmp_path):
    chosen = ["algo=tabular_q", "env=corridor", "replicas=10", "eval.every=60000"]
    results = train(job(*chosen, "env.slip=0", "eval.final_episodes=2"), tmp_path, []).results
    assert results["eval/return_fraction"] == pytest.approx([1.0] * 10)


@pytest.mark.parametrize("algo", ["ippo", "mappo"])
def test_ppo_learns_the_corridor_to_the_optimum(algo, tmp_path):
    steps = ["env_steps=8000", "eval.every=8000", "eval.final_episodes=1000", "env.num_envs=16"]
    schedule = ["algo.lr=0.01", "algo.lr_final=0.001", "algo.anneal_steps=8000"]
    config = job(f"algo={algo}", "env=corridor", "replicas=5", *steps, *schedule)
    results = train(config, tmp_path, []).results
    assert min(results["eval/return_fraction"]) >= 0.99
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["exact"]["random"] < 0.3 * record["exact"]["optimum"]


SMALL = [
    "env=corridor",
    "env.num_envs=3",
    "eval.every=150",
    "eval.episodes=4",
    "checkpoint.every=60",
]
ALGOS = ["algo=reinforce", "algo=tabular_q"]


@pytest.mark.parametrize("algo", ALGOS)
def test_cut_in_two_it_is_the_same_run(algo, tmp_path):
    small = [algo, *SMALL, "eval.final_episodes=4", "replicas=2"]
    train(job(*small, "env_steps=300"), tmp_path / "whole", [])
    train(job(*small, "env_steps=166"), tmp_path / "parts", [])
    assert resume(tmp_path / "parts", 300, PLUGINS).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("algo", ALGOS)
def test_its_promises_are_kept(algo):
    chosen = ["--config-dir", str(PACKAGE / "conf"), "plugins=[mymarl]", algo, "env=corridor"]
    done = marlrun("mode=check", *chosen)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, summary["failed"]) == (0, []), done.stdout


def test_the_day_of_a_plugin(tmp_path, monkeypatch):
    """Two algorithms are trained, one goes on; measured elsewhere, loaded, and reported together."""
    monkeypatch.chdir(tmp_path)
    chosen = ["--config-dir", str(PACKAGE / "conf"), "plugins=[mymarl]", "env=corridor"]
    brief = ["replicas=3", "env_steps=4000", "eval.every=2000", "eval.final_episodes=50"]
    for algo in ALGOS:
        trained = marlrun(*chosen, algo, *brief, f"hydra.run.dir={algo[5:]}")
        assert trained.returncode == 0, trained.stderr

    resumed = marlrun("mode=resume", "run=tabular_q", "env_steps=12000", "plugins=[mymarl]")
    assert resumed.returncode == 0, resumed.stderr
    record = json.loads(Path("tabular_q/run.json").read_text())
    assert record["env_steps"] == 12000 and record["exact"]["optimum"] > 0

    elsewhere = ["mode=eval", "run=tabular_q", "episodes=50", "plugins=[mymarl]"]
    easier = marlrun(*elsewhere, "env.slip=0", "agents.agent_1=reinforce")
    assert easier.returncode == 0, easier.stderr
    assert "env.slip=0 (trained with 0.1)" in easier.stderr
    assert json.loads(easier.stdout.splitlines()[-1])["eval/return_fraction"] <= 1
    longer = marlrun(*elsewhere, "env.length=6")
    assert longer.returncode == 2
    assert longer.stderr.count("\n") == 1 and "env.length=6" in longer.stderr

    script = """
import marlrun
policy = marlrun.load("tabular_q", replica=2, plugins=["mymarl"])
env = policy.env()
observations, _ = env.reset(seed=0)
policy.reset()
steps = 0
while env.agents:
    observations, rewards, *_ = env.step(policy.act(observations))
    steps += 1
print(steps)
"""
    played = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert played.returncode == 0, played.stderr
    assert 1 <= int(played.stdout) <= 20

    assert report(["tabular_q", "reinforce", "--out", "report"]) == 0
    table = Path("report/results.csv").read_text()
    assert "tabular_q" in table and "reinforce" in table
    listed = json.loads(marlrun("mode=runs", "dir=.", "json=true").stdout)
    assert {run["algo"]: run["steps"] for run in listed} == {"tabular_q": 12000, "reinforce": 4000}


def members(tree: object) -> list[torch.Tensor]:
    """Return the tensors of a learner's state that have a row for each replica."""
    if isinstance(tree, torch.Tensor):
        return [tree] if tree.ndim > 1 else []
    parts = (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    )
    return [tensor for part in parts for tensor in members(part)]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("algo", ALGOS)
def test_a_replica_learns_alone_as_in_company(algo, tmp_path):
    """To the last bit, also where it is the loss and not the network that makes it so."""
    states = []
    for name, seed, replicas in (("company", 0, 3), ("alone", 1, 1)):
        chosen = [algo, *SMALL, "env_steps=600", f"seed={seed}", f"replicas={replicas}"]
        train(job(*chosen, "eval.final_episodes=4"), tmp_path / name, [])
        path = tmp_path / name / "checkpoints/step_600.pt"
        learner = torch.load(path, weights_only=True)["learner"]
        states.append([tensor.unflatten(0, (replicas, -1)) for tensor in members(learner)])
    assert states[0]
    for company, alone in zip(*states, strict=True):
        assert torch.equal(company[1], alone[0])


def make(seeds=(0,), num_envs=1, **changes) -> Corridor:
    settings = {"num_agents": 2, "length": 3, "slip": 0.0, "horizon": 4, "discount": 1.0}
    return Corridor(seeds, CPU, num_envs=num_envs, **(settings | changes))


def act(*actions: int) -> torch.Tensor:
    return torch.tensor([[actions]])


def test_an_episode_of_the_corridor_by_hand():
    env = make()
    step = env.reset()
    assert step.first.all() and step.obs[0, 0].tolist() == [[1, 0, 0], [1, 0, 0]]
    step = env.step(act(1, 0))
    assert step.obs[0, 0].tolist() == [[0, 1, 0], [1, 0, 0]] and not step.done.any()
    env.step(act(1, 1))
    step = env.step(act(1, 1))
    assert step.terminated.all() and not step.truncated.any()
    assert step.reward[0, 0].tolist() == [1, 1]
    step = env.restart(step)
    assert step.first.all() and not step.reward.any()
    assert step.obs[0, 0].tolist() == [[1, 0, 0], [1, 0, 0]]
    for _ in range(4):
        step = env.step(act(0, 1))
    assert step.truncated.all() and not step.terminated.any() and not step.reward.any()


def test_steps_fail_as_often_as_they_should_and_alone_as_in_company():
    company, alone = (make(seeds, num_envs=5000, slip=0.25) for seeds in ([3, 4], [4]))
    for env in (company, alone):
        env.reset()
    ahead = torch.ones(2, 5000, 2, dtype=torch.int64)
    steps = company.step(ahead)
    assert steps.obs[..., 1].mean().item() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(alone.step(ahead[:1]).obs[0], steps.obs[1])


def test_the_corridor_goes_on_from_its_state():
    env, other = make(num_envs=20, slip=0.5), make(num_envs=20, slip=0.5)
    env.reset()
    env.step(torch.ones(1, 20, 2, dtype=torch.int64))
    other.load_state_dict(env.state_dict())
    for _ in range(3):
        action = torch.ones(1, 20, 2, dtype=torch.int64)
        assert all(map(torch.equal, env.step(action)[:5], other.step(action)[:5]))


@pytest.mark.parametrize(
    ("changes", "optimum", "random"),
    [
        ({"horizon": 1}, 1.0, 0.25),
        ({"horizon": 2, "discount": 0.5}, 1.0, 0.25 + 0.75 * 0.5 * 0.25),
        ({"horizon": 1, "slip": 0.5}, 0.25, 0.0625),
        ({"horizon": 1, "length": 3}, 0.0, 0.0),
    ],
)
def test_the_corridor_is_solved_by_hand(changes, optimum, random):
    settings = {"num_agents": 2, "length": 2, "slip": 0.0, "horizon": 1, "discount": 1.0}
    values = corridor.solve(**(settings | changes), num_envs=7)
    assert values == {"optimum": pytest.approx(optimum), "random": pytest.approx(random)}


def test_a_corridor_that_is_too_large_says_so():
    env = job("algo=random", "env=corridor", "env.num_agents=8")["env"]
    assert exact.solve(env, PLUGINS) is None
    assert exact.why_not(env, PLUGINS) == "too large: 5**8 joint states, at most 100,000"


def test_returns_to_go_by_hand():
    reward = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 4, 1, 1)
    ends = torch.tensor([False, True, False, False]).view(1, 4, 1)
    assert returns_to_go(reward, ends, 0.5).flatten().tolist() == [2.0, 2.0, 8.0, 8.0]


SPEC = Spec(1, ("a",), (2,), (2,), 9, 1.0)


def transition(reward: float, *, terminated: bool) -> tuple[Step, torch.Tensor, Step]:
    """Return action 1 in observation 0, paid by `reward`, which leads to observation 1."""
    no, ends = torch.zeros(1, 1, dtype=torch.bool), torch.full((1, 1), terminated)
    seen = torch.eye(2).view(2, 1, 1, 1, 2)
    before = Step(no, seen[0], torch.zeros(1, 1, 1), no, no)
    return (
        before,
        torch.ones(1, 1, 1).long(),
        Step(no, seen[1], torch.full((1, 1, 1), reward), ends, no),
    )


@pytest.mark.parametrize(
    ("terminated", "expected"), [(False, 2 + 0.5 * (3 + 0.9 * 4 - 2)), (True, 2.5)]
)
def test_an_update_of_tabular_q_by_hand(terminated, expected):
    learner = TabularQ(SPEC, [0], CPU, num_envs=1, lr=0.5, gamma=0.9, epsilon=1.0)
    learner.table.copy_(torch.tensor([[1.0, 2.0], [4.0, -1.0]]))
    learner.observe(*transition(3.0, terminated=terminated))
    learner.update()
    assert learner.table.tolist() == [[[[1.0, pytest.approx(expected)], [4.0, -1.0]]]]


def test_noise_in_the_padding_of_observations_changes_nothing():
    spec = Spec(2, ("a", "b"), (1, 2), (2, 2), 9, 1.0)
    table = {"lr": 0.5, "gamma": 0.9, "epsilon": 0.5}
    gradient = {"lr": 0.5, "gamma": 0.9, "hidden": [4], "rollout": 1}
    for algorithm, settings in ((TabularQ, table), (Reinforce, gradient)):
        clean, noisy = (algorithm(spec, [0], CPU, num_envs=1, **settings) for _ in range(2))
        for noise, learner in ((0.0, clean), (7.0, noisy)):
            before, action, after = transition(1.0, terminated=True)
            obs = torch.tensor([[[[1.0, noise], [0.0, 1.0]]]])
            before = before._replace(obs=obs)
            action = learner.policy(True, [0])(before)
            after = after._replace(obs=obs, reward=torch.ones(1, 1, 2))
            learner.observe(before, action, after)
            learner.update()
            assert learner.policy(True, [0])(before).equal(clean.policy(True, [0])(before))
        states = (copied(learner.state_dict()) for learner in (clean, noisy))
        require_same(*states, "the learner ")


def test_unequal_actions_are_refused():
    spec = Spec(2, ("a", "b"), (2, 2), (2, 3), 9, 1.0)
    message = "expected agents with equal numbers of actions, got (2, 3)"
    with pytest.raises(ValueError, match=re.escape(message)):
        TabularQ(spec, [0], CPU, num_envs=1, lr=0.5, gamma=0.9, epsilon=1.0)
    with pytest.raises(ValueError, match=re.escape(message)):
        Reinforce(spec, [0], CPU, num_envs=1, lr=0.5, gamma=0.9, hidden=[4], rollout=1)
