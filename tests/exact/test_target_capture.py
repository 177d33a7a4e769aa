"""target_capture solved on relative positions, against hand, fact sheet, brute force and game."""

from itertools import product

import numpy as np
import pytest
import torch

from marlrun.envs.target_capture import TargetCapture
from marlrun.exact import target_capture

GAME = {
    "size": 3,
    "num_agents": 2,
    "targets": "one",
    "slip": 0.1,
    "motion": "random",
    "horizon": 4,
    "discount": 0.9,
}
GAMES = [
    GAME,
    GAME | {"targets": "each"},
    GAME | {"motion": [1, 0]},
    GAME | {"motion": [-1, 1], "targets": "each"},
    GAME | {"motion": "static", "num_agents": 1},
]
DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0), (0, 0)])


@pytest.mark.parametrize(
    ("size", "optimum", "random"), [(3, 0.952, 0.191), (4, 0.907, 0.067), (6, 0.846, 0.014)]
)
def test_fact_sheet(size: int, optimum: float, random: float):
    paper = {"slip": 0.05, "motion": [1, 0], "horizon": 62, "discount": 0.95}
    for targets in ("one", "each"):
        values = target_capture.solve(**(GAME | paper | {"size": size, "targets": targets}))
        assert values["optimum"] == pytest.approx(optimum, abs=5e-4)
        assert values["random"] == pytest.approx(random, abs=5e-4)


def test_one_step_by_hand():
    """On a still target wait; beside it the heading succeeds with .9; diagonally nothing helps."""
    values = target_capture.solve(**(GAME | {"slip": 0.05, "motion": "static", "horizon": 1}))
    assert values["optimum"] == pytest.approx(((1 + 4 * 0.9) / 9) ** 2)
    assert values["random"] == pytest.approx(1 / 81)


@pytest.fixture(scope="module", params=GAMES, ids=lambda g: f"{g['motion']} {g['targets']}")
def brute(request: pytest.FixtureRequest):
    return request.param, brute_force(request.param)


def test_equals_value_iteration_on_absolute_positions(brute):
    game, (optimum, random, _) = brute
    values = target_capture.solve(**game)
    assert values == pytest.approx({"optimum": optimum, "random": random}, abs=1e-12)


def test_the_game_itself_pays_what_was_solved(brute):
    game, (_, _, actions) = brute
    values = target_capture.solve(**game)
    random = np.random.default_rng(1).integers(5, size=(game["horizon"], 20_000, 2))
    random = random[..., : game["num_agents"]]
    for name, choose in {
        "optimum": lambda t, state: actions[t][state],
        "random": lambda t, _: random[t],
    }.items():
        returns = play(game, choose)
        error = returns.std() / len(returns) ** 0.5
        assert abs(returns.mean() - values[name]) < 4 * error, name


def brute_force(game: dict) -> tuple[float, float, list[np.ndarray]]:
    """Value iteration over (agents, targets) cells; returns also actions[t][state, agent]."""
    size, n = game["size"], game["num_agents"]
    num_targets = n if game["targets"] == "each" else 1
    cells = np.array(list(product(range(size**2), repeat=n + num_targets)))
    agents, targets = cells[:, :n], cells[:, n:]
    moves = list(product(range(5), repeat=n))
    chances = np.array([[_chance(a, m, game["slip"]) for m in moves] for a in moves])
    drifts = _drifts(game["motion"], num_targets)
    arrivals = [[_arrive(agents, targets, m, d, size) for m in moves] for d in drifts]
    optimum = random = np.zeros(len(cells))
    actions = []
    for _ in range(game["horizon"]):
        q_best, q_random = (
            chances @ np.mean([[_worth(v, *a, game) for a in row] for row in arrivals], axis=0)
            for v in (optimum, random)
        )
        actions.insert(0, np.array(moves)[q_best.argmax(0)])
        optimum, random = q_best.max(0), q_random.mean(0)
    return optimum.mean(), random.mean(), actions


def _chance(actions: tuple[int, ...], moves: tuple[int, ...], slip: float) -> float:
    def one(action: int, move: int) -> float:
        if 4 in (action, move):
            return float(action == move)
        return {0: 1 - 2 * slip, 1: slip, 2: 0.0, 3: slip}[(move - action) % 4]

    return float(np.prod([one(a, m) for a, m in zip(actions, moves, strict=True)]))


def _drifts(motion: object, num_targets: int) -> list:
    if isinstance(motion, str):
        options = DIRECTIONS[:4] if motion == "random" else DIRECTIONS[4:]
        return list(product(options, repeat=num_targets))
    return [(motion,) * num_targets]


def _arrive(agents, targets, move, drift, size) -> tuple[np.ndarray, np.ndarray]:
    """Return the next state's index, and whether it is a capture."""

    def shifted(cells: np.ndarray, by) -> np.ndarray:
        by = np.array(by)
        return (cells // size + by[:, 1]) % size * size + (cells % size + by[:, 0]) % size

    agents, targets = shifted(agents, DIRECTIONS[list(move)]), shifted(targets, drift)
    state = index(np.concatenate([agents, targets], 1), size)
    return state, (agents == targets).all(1)


def _worth(values, state, captured, game) -> np.ndarray:
    return np.where(captured, 1.0, game["discount"] * values[state])


def index(cells: np.ndarray, size: int) -> np.ndarray:
    return cells @ (size**2) ** np.arange(cells.shape[-1])[::-1]


def play(game: dict, choose) -> np.ndarray:
    """Return the discounted return of 20,000 episodes of the real game."""
    env = TargetCapture([7], torch.device("cpu"), num_envs=20_000, flicker=0.0, **game)
    step, n = env.reset(), game["num_agents"]
    returns, running = np.zeros(20_000), np.ones(20_000)
    for t in range(game["horizon"]):
        action = choose(t, state_of(step.obs[0].numpy(), game))
        step = env.step(torch.as_tensor(np.ascontiguousarray(action)).view(1, -1, n))
        returns += running * step.reward[0].mean(-1).numpy()
        running *= game["discount"] * ~step.terminated[0].numpy()
    return returns


def state_of(obs: np.ndarray, game: dict) -> np.ndarray:
    """Read the joint state off the observations [E, N, O]: the index used by `brute_force`."""
    size = game["size"]
    xy = np.concatenate([obs[:, :, :2], obs[:, 0, 2:].reshape(len(obs), -1, 2)], 1)
    x, y = np.moveaxis(np.rint(xy * size + (size - 1) / 2).astype(int), -1, 0)
    return index(y * size + x, size)
