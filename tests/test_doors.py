"""A game with masked actions and agents that leave: played, solved, learned, resumed."""

import json
import re
from itertools import islice
from pathlib import Path

import mymarl
import pytest
import torch
from hydra import compose, initialize_config_module
from mymarl.envs.doors import BACK, HATCH, ON, Doors
from mymarl.exact import doors
from omegaconf import OmegaConf
from runner.compare import assert_same_run, record

import marlrun
from marlrun.algos.dec_hdrqn import DecHDRQN, DecHDRQNSettings
from marlrun.nets.sight import Sight
from marlrun.runner.build import build_learner
from marlrun.runner.evaluate import evaluate_run, play
from marlrun.runner.loop import online
from marlrun.runner.promises import ContractError
from marlrun.runner.stored import load_learner, open_run
from marlrun.runner.train import resume, train
from marlrun.streams import derive

CPU = torch.device("cpu")
CONF = Path(str(mymarl.__file__)).parent / "conf"
RULES = {"length": 4, "near": 1.0, "far": 3.0, "slip": 0.0, "horizon": 8, "discount": 0.5}
PLUGINS = ["mymarl"]


def make(seeds=(0,), num_envs=1, **changes) -> Doors:
    return Doors(seeds, CPU, num_envs=num_envs, **(RULES | changes))


def job(*overrides: str) -> dict:
    """Return the configuration that the command line composes."""
    search = f"hydra.searchpath=[file://{CONF}]"
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", [search, "plugins=[mymarl]", "device=cpu", *overrides])
    return OmegaConf.to_container(composed, resolve=True)


def act(*actions: int) -> torch.Tensor:
    return torch.tensor([[actions]])


def test_an_episode_by_hand():
    env = make()
    step = env.reset()
    assert step.action_mask[0, 0].int().tolist() == [[0, 1, 1, 0], [0, 1, 0, 0]]
    assert step.obs[0, 0].tolist() == [[1, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    step = env.step(act(HATCH, ON))
    assert step.reward[0, 0].tolist() == [1, 0] and step.alive[0, 0].tolist() == [False, True]
    assert step.action_mask[0, 0].int().tolist() == [[0, 0, 0, 0], [1, 1, 0, 0]]
    for action, reward in ((BACK, 0), (ON, 0), (ON, 0), (ON, 3)):
        assert not step.done.any()
        step = env.step(act(ON, action))
        assert step.reward[0, 0].tolist() == [0, reward]
    assert step.terminated.all() and not step.alive.any()
    step = env.restart(step)
    assert step.first.all() and step.alive.all() and not step.reward.any()


@pytest.mark.parametrize(
    ("changes", "optimum", "random"),
    [
        # In one step the first can reach the hatch and the other nothing.
        ({"horizon": 1}, (1 + 0) / 2, (1 / 2 + 0) / 2),
        # The hatch pays 1, the door .5 * 3; the other needs the door.
        ({"length": 3, "horizon": 2}, 1.5, ((1 + 0.75) / 2 + 0.75) / 2),
        ({"length": 2, "horizon": 1, "slip": 0.25}, 2.25, ((1 + 2.25) / 2 + 2.25) / 2),
    ],
)
def test_it_is_solved_by_hand(changes, optimum, random):
    values = doors.solve(**(RULES | changes), num_envs=3)
    assert values == {"optimum": pytest.approx(optimum), "random": pytest.approx(random)}


def test_random_play_is_worth_what_its_exact_value_says():
    node = {"_target_": "marlrun.algos.random.Random"}
    env = make(num_envs=20_000, slip=0.1)
    learner = build_learner(node, env, [0], CPU, [], 1, None)
    columns = play(env, learner.policy(False, [0]))
    expected = doors.solve(**(RULES | {"slip": 0.1}))["random"]
    returns = columns["eval/return_mean"]
    error = returns.std().item() / len(returns[0]) ** 0.5
    assert abs(returns.mean().item() - expected) <= 4 * error
    assert 1 < columns["eval/length_mean"].mean().item() < 8


# Learning


def fractions(monkeypatch, **kept) -> list[float]:
    """Train three replicas, whose values of what is never allowed begin high; return their shares
    of the optimum.

    `kept` replaces parts of what the learner is told: `forbidden=None` bootstraps over all actions.
    """
    parts = Sight.parts
    monkeypatch.setattr(Sight, "parts", lambda self, sight: parts(self, sight)._replace(**kept))
    config, seeds = job("algo=dec_hdrqn", "env=doors"), (0, 1, 2)
    keys = {key: value for key, value in config["algo"].items() if key != "_target_"}
    rules = {key: config["env"][key] for key in RULES}
    env = make(seeds, 8, **rules)
    learner = DecHDRQN(env.spec, seeds, CPU, num_envs=8, settings=DecHDRQNSettings(**keys))
    for parameters in (learner.parameters, learner.target_parameters):
        parameters["head.bias"][..., 3] = 10.0
    loop = online(learner, env, learner.policy(True, seeds), env.reset())
    for _ in islice(loop, 1000):
        pass
    fresh = make([7, 8, 9], 500, **rules)
    returns = play(fresh, learner.policy(False, [7, 8, 9]))["eval/return_mean"].mean(1)
    return (returns / doors.solve(**rules)["optimum"]).tolist()


@pytest.mark.usefixtures("one_thread")
def test_it_is_learned_to_the_optimum(monkeypatch):
    assert min(fractions(monkeypatch)) >= 0.97


@pytest.mark.usefixtures("one_thread")
def test_who_bootstraps_over_forbidden_actions_does_not_learn_it(monkeypatch):
    assert max(fractions(monkeypatch, forbidden=None)) < 0.6


@pytest.mark.usefixtures("one_thread")
def test_who_does_not_stop_where_an_agent_leaves_does_not_learn_it(monkeypatch):
    assert max(fractions(monkeypatch, absent=None)) < 0.8


# Runs

SMALL = [
    *("env=doors", "env.num_envs=3", "replicas=2", "eval.every=150", "eval.episodes=4"),
    *("eval.final_episodes=4", "checkpoint.every=60", "algo.learning_starts=1"),
]


@pytest.mark.usefixtures("one_thread")
def test_cut_in_two_it_is_the_same_run(tmp_path):
    small = ["algo=dec_hdrqn", *SMALL, "algo.batch=8"]
    train(job(*small, "env_steps=450"), tmp_path / "whole", [])
    train(job(*small, "env_steps=316"), tmp_path / "parts", [])
    assert resume(tmp_path / "parts", 450, PLUGINS).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert "loss/td" in (tmp_path / "whole/metrics.jsonl").read_text()


@pytest.mark.usefixtures("one_thread")
def test_a_replica_is_alone_in_company():
    def run(*seeds):
        keys = job("algo=dec_hdrqn", "env=doors")["algo"]
        del keys["_target_"]
        env = make(seeds, slip=0.1)
        settings = DecHDRQNSettings(**(keys | {"batch": 8}))
        learner = DecHDRQN(env.spec, seeds, CPU, num_envs=1, settings=settings)
        loop = online(learner, env, learner.policy(True, seeds), env.reset())
        played = [tick.after.obs for tick in islice(loop, 400)]
        assert learner.updates > 0
        return torch.stack(played, 1), learner.online.unflatten(0, (len(seeds), -1))

    company = run(3, 4)
    for replica, seed in enumerate((3, 4)):
        for alone, of_all in zip(run(seed), company, strict=True):
            assert torch.equal(alone[0], of_all[replica])
    assert not torch.equal(company[1][0], company[1][1])


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "run"
    train(job("algo=dec_hdrqn", *SMALL, "env_steps=300", "algo.eval_epsilon=0.2"), directory, [])
    return directory


SETTINGS = {
    "checkpoint": "best",
    "video": False,
    "seed": None,
    "device": "cpu",
    "threads": 1,
    "plugins": PLUGINS,
}


def test_it_is_evaluated_also_in_a_changed_game(stored, capsys):
    outcome = evaluate_run(
        stored, episodes=20, **SETTINGS, changes={"env": {"slip": 0.0, "far": 2.0}}
    )
    assert set(outcome.results) >= {"eval/return_mean", "eval/length_mean", "eval/return_fraction"}
    assert max(outcome.results["eval/return_fraction"]) <= 1 + 1e-6
    assert "env.slip=0.0 (trained with 0.1)" in capsys.readouterr().err
    assert record(stored)["exact"]["optimum"] > record(stored)["exact"]["random"]


@pytest.mark.parametrize("replica", [0, 1])
def test_a_loaded_policy_acts_as_in_its_evaluation(stored, replica):
    run = open_run(stored, "cpu", PLUGINS)
    seeds = [derive(seed, "mode=eval") for seed in (0, 1)]
    all_games = make(seeds, **{key: run.job.env[key] for key in RULES})
    evaluated = load_learner(run, all_games, "best").learner.policy(False, seeds)
    policy = marlrun.load(stored, replica=replica, plugins=PLUGINS)
    game = policy.env()
    num_left, step = 0, all_games.reset()
    observations, infos = game.reset(seed=seeds[replica])
    policy.reset()
    while game.agents:
        expected, actions = evaluated(step), policy.act(observations, infos)
        assert set(actions) == set(game.agents)
        for agent, name in enumerate(("walker", "follower")):
            assert actions.get(name) in (None, int(expected[replica, 0, agent]))
        num_left += len(actions) < 2
        observations, _, _, _, infos = game.step(actions)
        step = all_games.step(expected)
    assert step.done[replica].all() and num_left > 0


def test_wrong_masks_are_one_line(stored):
    policy = marlrun.load(stored, plugins=PLUGINS)
    policy.reset()
    good, masks = policy.env().reset()
    line = "infos of walker: expected an action_mask of 4 numbers that are 0 or 1"
    for wrong in (
        None,
        {},
        {"walker": {}},
        {"walker": 3},
        {"walker": {"action_mask": [1, 2, 0, 0]}},
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
            policy.act(good, wrong)
    line = "infos of follower: expected an action_mask of 2 numbers that are 0 or 1"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        policy.act(good, masks | {"follower": masks["walker"]})
    line = "observation of follower: missing, expected an array of 4 numbers"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        policy.act({"walker": good["walker"]}, masks)
    assert set(policy.act(good, masks)) == {"walker", "follower"}
    left = {**masks, "walker": {"action_mask": [0, 0, 0, 0]}}
    assert set(policy.act(good, left)) == {"follower"}
    assert set(policy.act({"follower": good["follower"]}, masks)) == {"follower"}


REFUSED = (
    "does not handle masked actions and agents that leave, as env=mymarl.envs.doors.Doors has them; "
    "expected bc, dec_drqn, dec_hdrqn, dec_hdrqn_plus, distill, ippo, ma_airl, ma_airl_faithful, "
    "ma_gail, mappo, multi_drqn, multi_hdrqn, random"
)


@pytest.mark.parametrize("algo", ["networked_ac_q", "networked_ac_v", "tabular_q"])
def test_who_handles_neither_is_refused_by_name_before_work(algo, tmp_path):
    name = "mymarl.algos.tabular_q.TabularQ" if algo == "tabular_q" else algo
    with pytest.raises(ValueError, match=f"^{re.escape(f'algo={name}: {REFUSED}')}$"):
        train(job(f"algo={algo}", "env=doors"), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def test_who_does_not_handle_a_changed_game_is_refused(tmp_path):
    """It was trained where nothing is masked."""
    config = job("algo=tabular_q", "env=corridor", "env_steps=0", "eval.final_episodes=1")
    config |= {"plugins": ["mymarl", "runner"]}
    config["algo"] = {"_target_": "runner.fakes.Bandit", "lr": 0.01}
    config["env"] = {"_target_": "runner.fakes.Masked", "num_envs": 1, "masked": False}
    train(config, tmp_path / "run", [])
    line = "algo=runner.fakes.Bandit: does not handle masked actions, as env=runner.fakes.Masked has them"
    settings = SETTINGS | {"plugins": ["runner"]}
    with pytest.raises(ValueError, match=f"^{re.escape(line)}"):
        evaluate_run(tmp_path / "run", episodes=1, **settings, changes={"env": {"masked": True}})
    json.loads((tmp_path / "run/run.json").read_text())


def test_a_game_that_breaks_its_word_fails_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(Doors, "_allowed", lambda self: torch.zeros(*self._cell.shape, 4) > 0)
    with pytest.raises(ContractError, match=r"^Doors\.reset: action_mask allows walker nothing"):
        train(job("algo=random", "env=doors"), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()
