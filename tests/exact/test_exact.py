"""The door of the exact room."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marlrun import exact

ENVS = Path(__file__).parents[2] / "conf" / "env"
GAMES = ["matrix_game", "meeting_grid", "public_goods", "reward_grid", "target_capture"]
CAPTURE = yaml.safe_load((ENVS / "target_capture.yaml").read_text())


@pytest.mark.parametrize("name", GAMES)
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


@pytest.fixture
def solved_by(tmp_path, monkeypatch):
    """Write a package `foreign` whose game `chess` is solved by some lines; return the solution."""
    for name in list(sys.modules):
        if name.startswith("foreign"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    for room in ("foreign/envs", "foreign/exact"):
        (tmp_path / room).mkdir(parents=True)
    head = "from marlrun.exact import Unsolvable\n\ndef solve(*, size):\n    "
    (tmp_path / "foreign/envs/chess.py").write_text("raise RuntimeError('not needed')\n")

    def solve(lines: str, ask=exact.solve, **env: object):
        (tmp_path / "foreign/exact/chess.py").write_text(head + lines)
        return ask(CHESS | env, ["foreign"])

    yield solve
    for name in [name for name in sys.modules if name.startswith("foreign")]:
        del sys.modules[name]


CHESS = {"_target_": "foreign.envs.chess.Chess", "size": 8}
NO_SOLUTION = (
    "there is no exact solution for {}: PACKAGE.envs.NAME.Class is solved by "
    "PACKAGE.exact.NAME.solve, where PACKAGE is marlrun or in plugins=[..] of the command line"
)


def test_a_plugins_game_is_solved_by_its_own_package(solved_by):
    assert solved_by("return {'optimum': size, 'random': 0.5}") == {"optimum": 8, "random": 0.5}


def test_a_plugins_solver_may_say_why_not(solved_by):
    reason = "raise Unsolvable(f'{size} is too large')"
    assert solved_by(reason) is None
    assert solved_by(reason, exact.why_not) == "8 is too large"


def test_values_that_are_no_numbers_are_refused(solved_by):
    values = "return {'optimum': float('inf'), 'random': 1.0}"
    assert solved_by(values) is None
    assert solved_by(values, exact.why_not) == "double precision cannot hold its values"


@pytest.mark.parametrize(
    "values", ["{'best': 1.0, 'random': 0.0}", "{'optimum': '1', 'random': 0.0}", "1.0"]
)
def test_a_solver_that_returns_something_else_is_named(solved_by, values):
    with pytest.raises(ValueError) as refusal:
        solved_by(f"return {values}")
    assert str(refusal.value) == (
        f"foreign.exact.chess.solve returned {values}, "
        'expected {"optimum": number, "random": number, ..}'
    )


def test_a_solver_that_does_not_take_the_keys_is_named(solved_by):
    with pytest.raises(ValueError) as refusal:
        solved_by("return {}", colour="white")
    assert str(refusal.value) == (
        "foreign.exact.chess.solve must take the keys of env: "
        "got an unexpected keyword argument 'colour'"
    )


def test_a_solver_that_fails_is_named(solved_by):
    with pytest.raises(ValueError) as refusal:
        solved_by("return 1 / (size - 8)")
    assert str(refusal.value) == "foreign.exact.chess.solve: ZeroDivisionError: division by zero"


IMPORTS = {
    "import nowhere_to_be_found": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "def": "SyntaxError: invalid syntax (chess.py, line ",
    "raise RuntimeError('broken')": "RuntimeError: broken",
}


@pytest.mark.parametrize("code", IMPORTS)
def test_a_solver_that_cannot_be_imported_is_named(solved_by, code):
    with pytest.raises(ValueError) as refusal:
        solved_by(f"return {{}}\n\n{code}\n")
    expected = f"foreign.exact.chess cannot be imported: {IMPORTS[code]}"
    assert str(refusal.value).startswith(expected)


@pytest.mark.parametrize(
    "target",
    [
        "foreign.envs.go.Go",
        "foreign.games.Chess",
        "foreign.exact.chess.Chess",
        "marlrun.envs.walks.Walk",
        "marlrun.envs.nowhere.Game",
        "marlrun.envs.deep.nowhere.Game",
        "Chess",
    ],
)
def test_a_game_without_a_solver_is_refused_by_name(solved_by, target):
    assert solved_by("return {}", _target_=target) is None
    assert solved_by("return {}", exact.why_not, _target_=target) == NO_SOLUTION.format(target)


@pytest.mark.parametrize("plugins", [[], ["other"], ["foreign.envs"], ["foreig"]])
def test_a_plugin_that_the_command_line_does_not_allow_is_not_imported(solved_by, plugins):
    assert solved_by("return {}", lambda env, _: exact.solve(env, plugins)) is None
    assert exact.why_not(CHESS, plugins) == NO_SOLUTION.format("foreign.envs.chess.Chess")
    assert not any(name.startswith("foreign") for name in sys.modules)


def test_flicker_and_copies_change_nothing():
    assert exact.solve(CAPTURE) == exact.solve(CAPTURE | {"flicker": 0.3, "num_envs": 9})


def test_needs_no_torch():
    check = "import sys, marlrun.exact; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
