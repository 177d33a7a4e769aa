"""The real MA-AIRL on games that are solved exactly: demonstrations, training, what is recovered."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from marlrun.data.demonstrations import read
from marlrun.exact import reward_grid
from marlrun.exact.markov_game import returns
from marlrun.runner.demonstrations import shipped
from marlrun.runner.stored import open_run
from marlrun.runner.train import train

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "exact_games.py"))
GRID = {"size": 3, "maps": 0, "scale": 2.0, "influence": 0.5, "penalty": 0.0, "discount": 0.9}


def demonstrations(path: Path, game: str, episodes: int, *changes: str):
    SCRIPT["demonstrate"](game, path, episodes, 0, changes)
    return read(path)


def test_demonstrations_are_drawn_from_the_exact_law(tmp_path):
    shown = demonstrations(tmp_path / "grid.npz", "reward_grid", 1000, "penalty=3.0", "size=2")
    keys = GRID | {"penalty": 3.0, "size": 2}
    law = reward_grid.expert(**keys).law
    cells = shown.obs[:, 0].view(-1, 2, 4).argmax(-1).numpy()
    state, action = cells[:, 0] * 4 + cells[:, 1], shown.action.numpy()
    counts = np.zeros(law.shape)
    np.add.at(counts, (state, action[:, 0], action[:, 1]), 1)
    visits = counts.sum((1, 2), keepdims=True)
    deviation = (counts - visits * law) / np.sqrt(visits * law * (1 - law))
    # 400 numbers that are hardly correlated: their squares have the mean 1, with an error of .07.
    assert np.mean(deviation**2) == pytest.approx(1, abs=0.3)
    assert shown.truncated.sum() == shown.num_episodes == 1000 and not shown.terminated.any()
    said = shown.card["returns"]["expert"]["mean"]
    exact = returns(reward_grid.game(**keys), law, 10, 0.9).mean()
    assert said["low"] - 0.1 < exact < said["high"] + 0.1


def test_the_same_demonstrations_are_the_same_bytes(tmp_path):
    for name in "ab":
        demonstrations(tmp_path / name, "matrix_game", 30, "game=coordination")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        (["env=reward_grid"], "reward_grid", ("reward_grid", 500)),
        (
            ["env=matrix_game", "env.game=prisoners_dilemma"],
            "matrix_game_prisoners_dilemma",
            ("matrix_game", 5000, "game=prisoners_dilemma"),
        ),
    ],
)
def test_what_ships_is_exact_play(tmp_path, words, name, arguments):
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        config = OmegaConf.to_container(compose("config", ["algo=ma_airl", *words]), resolve=True)
    path = shipped(config)
    assert path.stem == name
    ships, anew = read(path), demonstrations(tmp_path / "anew", *arguments)
    assert ships.card["env"] == anew.card["env"] and ships.card["sha256"] == anew.card["sha256"]


def test_other_games_have_no_exact_expert():
    with pytest.raises(ValueError, match="env=MeetingGrid: expected reward_grid or matrix_game"):
        SCRIPT["expert_of"]({"_target_": "marlrun.envs.meeting_grid.MeetingGrid"})


def trained(directory: Path, env: str, *changes: str):
    """Train MA-AIRL as its tuned settings say, but for `changes`; return the table's columns."""
    chosen = ["algo=ma_airl", f"env={env}", "seed=40", "device=cpu", *changes]
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        config = OmegaConf.to_container(compose("config", chosen), resolve=True)
    # The recovered reward alone is looked at.
    config["eval"] |= {"every": 10**6, "episodes": 2, "final_episodes": 2}
    outcome = train(config, directory, [])
    assert outcome.status == "finished", outcome.error
    return SCRIPT["measure"](open_run(directory, "cpu", [])).values()


def test_the_log_odds_of_the_prisoners_dilemma_are_recovered(tmp_path):
    """Defection pays 1 more, whatever the other does. 5,000 episodes tell it with an error of .032."""
    budget = ("env_steps=30000", "algo.ppo.anneal_steps=30000", "replicas=2")
    reward, policy, exact, sampled, error = trained(tmp_path / "run", "matrix_game", *budget)
    assert exact == pytest.approx(1) and sampled == pytest.approx(1, abs=2.5 * error.max())
    assert reward == pytest.approx(sampled, abs=0.1) and policy == pytest.approx(sampled, abs=0.1)


def test_independent_agents_recover_the_log_odds_of_their_shares_alone(tmp_path):
    """Coordination: given the other's action they are -2 or 1, and of an agent alone -.81."""
    demonstrations(tmp_path / "file", "matrix_game", 5000, "game=coordination")
    budget = ("env_steps=30000", "algo.ppo.anneal_steps=30000", "env.game=coordination")
    file = f"algo.demonstrations={tmp_path / 'file'}"
    reward, _, exact, *_ = trained(tmp_path / "run", "matrix_game", file, *budget)
    assert exact == pytest.approx(np.log(0.3071 / 0.6929), abs=1e-3)
    assert reward == pytest.approx(exact, abs=0.15)


def test_the_rewards_of_the_grid_are_recovered(tmp_path):
    """Half of the tuned budget; the whole one is the slow test below."""
    budget = ("env_steps=100000", "algo.ppo.anneal_steps=100000")
    kl, policy_kl, torus_kl, pearson = trained(tmp_path / "run", "reward_grid", *budget)
    assert kl.max() < 0.01 and policy_kl.max() < 0.01 and pearson.min() > 0.95
    # Without walls, imitators that go on as before are .35 and .59 away.
    assert torus_kl.max() < 0.02


@pytest.mark.slow
def test_the_rewards_of_the_grid_are_recovered_by_all_seeds(tmp_path):
    kl, policy_kl, _, pearson = trained(tmp_path / "run", "reward_grid", "replicas=4")
    assert kl.shape == (4, 2)
    assert kl.max() < 0.005 and policy_kl.max() < 0.005 and pearson.min() > 0.95


@pytest.mark.slow
def test_a_reward_that_no_discriminator_has_taught_is_found_out(tmp_path):
    """The control: a constant reward, whose equilibrium is uniform play."""
    budget = ("env_steps=50000", "algo.reward=constant")
    reward_kl, *_, pearson = trained(tmp_path / "run", "reward_grid", *budget)
    assert reward_kl.min() > 0.3 and np.abs(pearson).max() == 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["measure", "."], "run=.: expected a run directory"),
        (["demonstrate", "reward_grid", "new", "penalty=abc"], "env.penalty=abc: expected float"),
        (["demonstrate", "reward_grid", "new", "bogus=1"], "env.bogus: no such key"),
        (["demonstrate", "reward_grid", "new", "discount=1.0"], "env.discount=1: its expert is"),
        (["demonstrate", "reward_grid", "new", "--episodes", "0"], "--episodes 0: expected at"),
        (["demonstrate", "reward_grid", "old"], "old: exists, expected a new file"),
    ],
)
def test_the_command_line_answers_mistakes_in_one_line(tmp_path, monkeypatch, words, answer):
    monkeypatch.chdir(tmp_path)
    Path("old").write_text("mine")
    with pytest.raises(SystemExit) as refusal:
        SCRIPT["main"](words)
    line = str(refusal.value)
    assert line.startswith(f"exact_games: {answer}") and "\n" not in line
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert Path("old").read_text() == "mine"
