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
from marlrun.runner.stored import open_run
from marlrun.runner.train import train

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "exact_games.py"))
GRID = {"size": 3, "maps": 0, "scale": 2.0, "influence": 0.5, "penalty": 0.0, "discount": 0.9}


def demonstrations(path: Path, game: str, episodes: int, *changes: str):
    SCRIPT["demonstrate"](game, path, episodes, 0, changes)
    return read(path)


def test_demonstrations_are_drawn_from_the_exact_law(tmp_path):
    shown = demonstrations(tmp_path / "grid.npz", "reward_grid", 4000, "penalty=3.0", "size=2")
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
    assert shown.truncated.sum() == shown.num_episodes == 4000 and not shown.terminated.any()
    said = shown.card["returns"]["expert"]["mean"]
    exact = returns(reward_grid.game(**keys), law, 10, 0.9).mean()
    assert said["low"] - 0.1 < exact < said["high"] + 0.1


def test_the_same_demonstrations_are_the_same_bytes(tmp_path):
    for name in "ab":
        demonstrations(tmp_path / name, "matrix_game", 30, "game=coordination")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_games_have_no_exact_expert():
    with pytest.raises(ValueError, match="env=MeetingGrid: expected reward_grid or matrix_game"):
        SCRIPT["expert_of"]({"_target_": "marlrun.envs.meeting_grid.MeetingGrid"})


def trained(directory: Path, env: str, *changes: str):
    """Train MA-AIRL as its tuned settings say, but for `changes`; return the run's numbers."""
    chosen = ["algo=ma_airl", f"env={env}", "seed=40", "device=cpu", *changes]
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        config = OmegaConf.to_container(compose("config", chosen), resolve=True)
    # The recovered reward alone is looked at.
    config["eval"] |= {"every": 10**6, "episodes": 2, "final_episodes": 2}
    outcome = train(config, directory, [])
    assert outcome.status == "finished", outcome.error
    rows = SCRIPT["measure"](open_run(directory, "cpu", [])).splitlines()[2:-1]
    return np.array([[float(x) for x in row.split("|")[3:-1]] for row in rows])


def test_the_log_odds_of_the_prisoners_dilemma_are_recovered(tmp_path):
    """Defection pays 1 more, whatever the other does. 5,000 episodes tell it with an error of .032."""
    shown = demonstrations(tmp_path / "file", "matrix_game", 5000, "game=prisoners_dilemma")
    budget = ("env_steps=30000", "algo.ppo.anneal_steps=30000", "replicas=2")
    file = f"algo.demonstrations={tmp_path / 'file'}"
    reward, policy, exact = trained(tmp_path / "run", "matrix_game", file, *budget).T
    assert exact == pytest.approx(1)
    share = shown.action.double().mean(0).numpy()
    sampled = np.tile(np.log(share / (1 - share)), 2)
    assert sampled == pytest.approx(1, abs=0.1)
    assert reward == pytest.approx(sampled, abs=0.1) and policy == pytest.approx(sampled, abs=0.1)


def test_independent_agents_recover_the_log_odds_of_their_shares_alone(tmp_path):
    """Coordination: given the other's action they are -2 or 1, and of an agent alone -.81."""
    demonstrations(tmp_path / "file", "matrix_game", 5000, "game=coordination")
    budget = ("env_steps=30000", "algo.ppo.anneal_steps=30000", "env.game=coordination")
    file = f"algo.demonstrations={tmp_path / 'file'}"
    reward, _, exact = trained(tmp_path / "run", "matrix_game", file, *budget).T
    assert exact == pytest.approx(np.log(0.3071 / 0.6929), abs=1e-3)
    assert reward == pytest.approx(exact, abs=0.15)


def test_the_rewards_of_the_grid_are_recovered(tmp_path):
    """Half of the tuned budget; the whole one is the slow test below."""
    demonstrations(tmp_path / "file", "reward_grid", 500)
    budget = ("env_steps=100000", "algo.ppo.anneal_steps=100000")
    file = f"algo.demonstrations={tmp_path / 'file'}"
    reward_kl, policy_kl, pearson = trained(tmp_path / "run", "reward_grid", file, *budget).T
    assert max(reward_kl) < 0.01 and max(policy_kl) < 0.01
    assert min(pearson) > 0.95


@pytest.mark.slow
def test_the_rewards_of_the_grid_are_recovered_by_all_seeds(tmp_path):
    demonstrations(tmp_path / "file", "reward_grid", 500)
    file = f"algo.demonstrations={tmp_path / 'file'}"
    numbers = trained(tmp_path / "run", "reward_grid", file, "replicas=4")
    reward_kl, policy_kl, pearson = numbers.T
    assert len(numbers) == 8
    assert max(reward_kl) < 0.005 and max(policy_kl) < 0.005 and min(pearson) > 0.95


@pytest.mark.slow
def test_a_reward_that_no_discriminator_has_taught_is_found_out(tmp_path):
    """The control: a constant reward, whose equilibrium is uniform play."""
    demonstrations(tmp_path / "file", "reward_grid", 500)
    file = f"algo.demonstrations={tmp_path / 'file'}"
    budget = ("env_steps=50000", "algo.reward=constant")
    reward_kl, _, pearson = trained(tmp_path / "run", "reward_grid", file, *budget).T
    assert min(reward_kl) > 0.3 and max(np.abs(pearson)) == 0
