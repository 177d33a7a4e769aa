"""Settings of pairs: of pairs that exist, and what selects best.pt where agents are opponents."""

from importlib import resources
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

CONF = Path(str(resources.files("marlrun.conf")))
ALGOS, ENVS, TUNED = (
    {path.stem for path in (CONF / group).glob("*.yaml")} for group in ("algo", "env", "tuned")
)
EVERY = {path.stem for path in (CONF / "tuned/algo").glob("*.yaml")}
ANY = {path.stem for path in (CONF / "tuned/any").glob("*.yaml")}
GAMES_OF_OPPONENTS = ("push", "tag", "adversary")


def composed(algo: str, env: str):
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        return compose("config", [f"algo={algo}", f"env={env}"])


def test_settings_are_of_an_algorithm_and_an_environment_that_exist():
    pairs = {f"{algo}_{env}" for algo in ALGOS for env in ENVS}
    assert pairs >= TUNED


@pytest.mark.parametrize("env", GAMES_OF_OPPONENTS)
@pytest.mark.parametrize("algo", sorted(ALGOS))
def test_no_mean_over_opponents_selects_best(algo, env):
    assert composed(algo, env).checkpoint.best == "latest"


def test_elsewhere_the_mean_selects_best():
    assert composed("ippo", "spread").checkpoint.best == "eval/return_mean"


@pytest.mark.parametrize("algo", ["bc", "ma_airl", "ma_airl_faithful", "ma_gail"])
def test_the_true_reward_does_not_select_what_is_learned_without_it(algo):
    assert {f"{name}_env" for name in ALGOS} >= EVERY
    assert all(composed(algo, env).checkpoint.best == "latest" for env in ("spread", "matrix_game"))


def test_the_authors_code_learns_from_a_thousand_steps_at_a_time():
    faithful = composed("ma_airl_faithful", "spread")
    assert faithful.algo.ppo.rollout * faithful.env.num_envs == 1000
    assert faithful.algo.discriminator.steps == 1 and faithful.algo.reward == "g"


def test_settings_for_all_algorithms_are_of_an_environment_that_exists():
    assert {f"algo_{env}" for env in ENVS} >= ANY >= {f"algo_{env}" for env in GAMES_OF_OPPONENTS}


@pytest.mark.parametrize("env", ["spread", "speaker_listener", *GAMES_OF_OPPONENTS])
def test_hysteresis_is_the_only_difference_of_the_two_recurrent_learners(env):
    hysteretic, plain = (composed(algo, env) for algo in ("dec_hdrqn", "dec_drqn"))
    beta = 0.9 if env == "speaker_listener" else 0.5
    assert (hysteretic.algo.beta, plain.algo.beta) == (beta, 1.0)
    hysteretic.algo.beta = 1.0
    assert hysteretic.algo == plain.algo and hysteretic.env_steps == plain.env_steps
    assert hysteretic.algo.bootstrap_at_time_limit and hysteretic.env.num_envs == 16


@pytest.mark.parametrize("name", ["dec_drqn", "joint_q"])
def test_in_meeting_grid_hysteresis_ends_and_is_the_only_difference(name):
    hysteretic, other = composed("dec_hdrqn", "meeting_grid"), composed(name, "meeting_grid")
    assert (hysteretic.algo.beta, hysteretic.algo.beta_final) == (0.9, 1.0)
    assert hysteretic.algo.beta_steps < hysteretic.env_steps == other.env_steps
    assert (other.algo.beta, other.algo.beta_final) == (1.0, None)
    different = {key for key, value in hysteretic.algo.items() if other.algo[key] != value}
    assert different - {"_target_"} == {"beta", "beta_final"}
