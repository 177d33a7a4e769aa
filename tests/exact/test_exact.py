"""The door of the exact room."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marlrun import exact

ENVS = Path(__file__).parents[2] / "conf" / "env"
CAPTURE = yaml.safe_load((ENVS / "target_capture.yaml").read_text())


@pytest.mark.parametrize("name", ["matrix_game", "meeting_grid", "public_goods", "target_capture"])
def test_solves_as_configured(name: str):
    values = exact.solve(yaml.safe_load((ENVS / f"{name}.yaml").read_text()))
    assert values is not None
    assert values["random"] < values["optimum"]


def test_too_large_is_refused_with_the_number():
    large = CAPTURE | {"num_agents": 5}
    assert exact.solve(large) is None
    assert "1,048,576 joint states x 3,125 joint actions x 60 steps" in exact.why_not(large)


def test_the_papers_own_random_game_is_too_large():
    large = yaml.safe_load((ENVS / "networked_mdp.yaml").read_text())
    assert exact.solve(large) is None
    assert "20 states x 2**20 joint actions x 40 numbers; at most" in exact.why_not(large)
    small = exact.solve(large | {"num_agents": 10})
    assert small is not None and 1.95 < small["random"] < 2.05 < small["optimum"]


def of(name: str, **changes: object) -> dict[str, object]:
    return yaml.safe_load((ENVS / f"{name}.yaml").read_text()) | changes


@pytest.mark.parametrize(
    ("game", "reason"),
    [
        (
            of("networked_mdp", num_agents=10_000, num_actions=3),
            "too large to solve exactly: 20 states x 3**10,000 joint actions x 10,020 numbers; "
            "at most 2,000 states, and 20,000,000 in all",
        ),
        (
            of("target_capture", size=2, num_agents=1, horizon=10_001),
            "too large to solve exactly: 4 joint states x 5 joint actions x 10,001 steps; "
            "at most 4,000,000 states, 3,000,000,000 in all, and 10,000 steps",
        ),
        (
            of("meeting_grid", size=10, horizon=1_316),
            "too large to solve exactly: plans from 228 starts x 1,316 steps x 100 cells; "
            "at most 30,000,000 numbers in all",
        ),
    ],
)
def test_sizes_at_the_ends_of_the_ranges_are_refused_with_a_reason(game: dict, reason: str):
    assert exact.solve(game) is None
    assert exact.why_not(game) == reason


def test_the_largest_numbers_are_solved():
    values = exact.solve(of("public_goods", cost=1e9, benefit=1e9))
    assert values is not None
    assert values["selfish"] == pytest.approx(0.508, abs=1e-3)
    values = exact.solve(of("matrix_game", payoff=[[1e9, -1e9], [0, 1]], horizon=1000))
    assert values == {"optimum": 1e12, "random": 250.0}


def test_a_target_that_moves_around_the_torus_is_where_it_was():
    # 2**63 - 2 is a multiple of 3.
    far, near = ([2**63 - 1, -(2**63 - 1)], [1, -1])
    assert exact.solve(CAPTURE | {"size": 3, "motion": far}) == exact.solve(
        CAPTURE | {"size": 3, "motion": near}
    )


def test_values_that_are_no_numbers_are_refused(monkeypatch):
    game = of("matrix_game")
    infinite = {"optimum": float("inf"), "random": 1.0}
    monkeypatch.setitem(exact._SOLVERS, game["_target_"], lambda **keys: infinite)
    assert exact.solve(game) is None
    assert exact.why_not(game) == "double precision cannot hold its values"


def test_foreign_game_is_refused_by_name():
    foreign = {"_target_": "mypkg.envs.Chess", "size": 8}
    assert exact.solve(foreign) is None
    assert "mypkg.envs.Chess" in exact.why_not(foreign)


def test_flicker_and_copies_change_nothing():
    assert exact.solve(CAPTURE) == exact.solve(CAPTURE | {"flicker": 0.3, "num_envs": 9})


def test_needs_no_torch():
    check = "import sys, marlrun.exact; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
