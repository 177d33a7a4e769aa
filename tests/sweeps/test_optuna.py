"""Search for a better value."""

import pytest
from runner.compare import rows
from sweeps.accidents import PLUGIN
from sweeps.desk import SMALL, TRIVIAL

OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1"]
CLIMB = ["algo=dec_hdrqn", "env=matrix_game", "env.game=climb"]
BETA = "algo.beta=interval(0.05,1.0)"
FAILING = ["--config-dir=own", "algo=breaking", "env=matrix_game", "env_steps=100", PLUGIN]
"""Odd numbers break down."""


def trials(jobs):
    """Return what was tried, and what came of it."""
    return [(job["overrides"], job["results"]) for job in jobs]


def test_a_better_beta_is_found(desk):
    """Sampler 6 begins at 0.90, where the agents settle for the safe 5 instead of the optimum 11."""
    many = ["hydra.sweeper.sampler.seed=6", "hydra.sweeper.n_trials=2", "replicas=5"]
    said = desk.sweeps(*OPTUNA, *many, *CLIMB, BETA)
    assert said.code == 0, said.err
    start, found = desk.jobs()
    assert start["config"]["algo"]["beta"] > 0.85 > 0.5 > found["config"]["algo"]["beta"]
    assert max(start["results"]["eval/return_mean"]) < 11
    assert found["results"]["eval/return_mean"] == [11.0] * 5
    best = (desk.sweep / "optimization_results.yaml").read_text()
    assert "best_value: 11.0" in best


@pytest.mark.slow
def test_a_search_with_a_seed_can_be_repeated(desk):
    few = ["hydra.sweeper.sampler.seed=4", "hydra.sweeper.n_trials=2", "replicas=2"]
    for name in ("one", "two"):
        argv = [*OPTUNA, *few, "algo=dec_hdrqn", *SMALL, "env.game=climb", BETA]
        said = desk.sweeps(*argv, f"hydra.sweep.dir={name}")
        assert said.code == 0, said.err
    assert trials(desk.jobs("one")) == trials(desk.jobs("two"))
    for job in desk.jobs("one"):
        mine, yours = (desk.place / name / job["directory"] for name in ("one", "two"))
        assert rows(mine) == rows(yours)


def test_a_failed_trial_ends_no_search_unless_asked_for(desk, own):
    search = [*OPTUNA, *FAILING, "hydra.sweeper.n_trials=4", "algo.number=choice(1,2)"]
    seed = "hydra.sweeper.sampler.seed=1"
    said = desk.sweeps(*search, seed)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    first = desk.statuses()
    assert len(first) == 4 and sorted(set(first)) == ["failed", "finished"]
    assert "best_params" in (desk.sweep / "optimization_results.yaml").read_text()

    strict = ["hydra.sweeper.max_failure_rate=0.0", "hydra.sweep.dir=strict"]
    said = desk.sweeps(*search, seed, *strict)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    assert desk.statuses("strict") == first[: first.index("failed") + 1]
    (line,) = [line for line in said.err.splitlines() if line.startswith("marlrun: ")]
    assert "hydra/sweeper=optuna: ValueError: job" in line and "the update broke down" in line
    assert "to go on: marlrun mode=resume run=strict" in said.out


@pytest.mark.slow
def test_nothing_comes_of_a_search(desk, own):
    argv = [*FAILING, "algo.number=choice(1,3)", "hydra.sweeper.n_trials=2"]
    said = desk.sweeps(*OPTUNA, *argv)
    assert said.code == 1 and "Traceback" not in said.err, said.err
    assert "marlrun: hydra/sweeper=optuna: ValueError: No trials are completed yet" in said.err
    assert all("the update broke down" in job["error"] for job in desk.jobs())
    assert "2 jobs: 2 failed" in said.out


def test_a_launcher_that_begins_nothing_ends_the_search(desk):
    slurm = [*OPTUNA, "hydra/launcher=submitit_slurm", "hydra.sweeper.n_trials=3"]
    said = desk.sweeps(*slurm, *TRIVIAL, "seed=choice(0,1)", PATH=desk.place)
    assert said.code == 1 and desk.statuses() == ["waiting"], said.err
    assert "hydra/sweeper=optuna: RuntimeError: job 0 was not begun" in said.err
    assert 'hydra/launcher=submitit_slurm: RuntimeError: Could not detect "srun"' in said.out
