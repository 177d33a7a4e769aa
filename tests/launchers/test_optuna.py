"""Search for a better value."""

import pytest
from launchers.sweeps import SMALL, jobs, marlrun, statuses
from launchers.test_jobs import PLUGIN, own  # noqa: F401
from runner.compare import rows

OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "hydra.sweep.dir=sweep"]
CLIMB = ["algo=dec_hdrqn", "env=matrix_game", "env.game=climb"]
BETA = "algo.beta=interval(0.05,1.0)"
FAILING = ["--config-dir=own", "algo=breaking", "env=matrix_game", "env_steps=100", PLUGIN]
"""Odd numbers break down."""


def trials(directory):
    """Return what was tried, and what came of it."""
    return [(job["overrides"], job["results"]) for job in jobs(directory)]


def test_a_better_beta_is_found(tmp_path):
    """Sampler 6 begins at 0.90, where the agents settle for the safe 5 instead of the optimum 11."""
    many = ["hydra.sweeper.sampler.seed=6", "hydra.sweeper.n_trials=2", "replicas=5"]
    said = marlrun(tmp_path, "-m", *OPTUNA, *many, *CLIMB, BETA)
    assert said.code == 0, said.err
    start, found = jobs(tmp_path / "sweep")
    assert start["config"]["algo"]["beta"] > 0.85 > 0.5 > found["config"]["algo"]["beta"]
    assert max(start["results"]["eval/return_mean"]) < 11
    assert found["results"]["eval/return_mean"] == [11.0] * 5
    best = (tmp_path / "sweep" / "optimization_results.yaml").read_text()
    assert "best_value: 11.0" in best


@pytest.mark.slow
def test_a_search_with_a_seed_can_be_repeated(tmp_path):
    few = ["hydra.sweeper.sampler.seed=4", "hydra.sweeper.n_trials=2", "replicas=2"]
    for name in ("one", "two"):
        argv = ["-m", *OPTUNA, *few, "algo=dec_hdrqn", *SMALL, "env.game=climb", BETA]
        said = marlrun(tmp_path, *argv, f"hydra.sweep.dir={name}")
        assert said.code == 0, said.err
    assert trials(tmp_path / "one") == trials(tmp_path / "two")
    for job in jobs(tmp_path / "one"):
        mine, yours = (tmp_path / name / job["directory"] for name in ("one", "two"))
        assert rows(mine) == rows(yours)


def test_a_failed_trial_ends_no_search_unless_asked_for(tmp_path, own):  # noqa: F811
    search = ["-m", *OPTUNA, *FAILING, "hydra.sweeper.n_trials=4", "algo.number=choice(1,2)"]
    seed = "hydra.sweeper.sampler.seed=1"
    said = marlrun(tmp_path, *search, seed)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    first = statuses(tmp_path / "sweep")
    assert len(first) == 4 and sorted(set(first)) == ["failed", "finished"]
    assert "best_params" in (tmp_path / "sweep" / "optimization_results.yaml").read_text()

    strict = ["hydra.sweeper.max_failure_rate=0.0", "hydra.sweep.dir=strict"]
    said = marlrun(tmp_path, *search, seed, *strict)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    assert statuses(tmp_path / "strict") == first[: first.index("failed") + 1]
    (line,) = [line for line in said.err.splitlines() if line.startswith("marlrun: ")]
    assert "hydra/sweeper=optuna: ValueError: job" in line and "the update broke down" in line
    assert "to go on: marlrun mode=resume run=strict" in said.out


@pytest.mark.slow
def test_nothing_comes_of_a_search(tmp_path, own):  # noqa: F811
    argv = [*FAILING, "algo.number=choice(1,3)", "hydra.sweeper.n_trials=2"]
    said = marlrun(tmp_path, "-m", *OPTUNA, *argv)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    assert "marlrun: hydra/sweeper=optuna: ValueError: No trials are completed yet" in said.err
    assert all("the update broke down" in job["error"] for job in jobs(tmp_path / "sweep"))
    assert "2 jobs: 2 failed" in said.out
