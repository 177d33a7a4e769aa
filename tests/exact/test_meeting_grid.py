"""meeting_grid solved, against hand, enumeration and the game itself."""

from itertools import product

import numpy as np
import pytest
import torch

from marlrun.envs.meeting_grid import MeetingGrid
from marlrun.exact import meeting_grid

GAME = {"size": 3, "num_agents": 2, "success": 0.6, "horizon": 20, "discount": 1.0}
SMALL = GAME | {"size": 2, "horizon": 2, "discount": 0.9}


def test_sure_moves_meet_in_the_middle():
    values = meeting_grid.solve(**(GAME | {"success": 1.0}))
    assert values["optimum"] == values["best_reply"] == pytest.approx(19)


def test_one_step_by_hand():
    """Both aim for one free corner (.6 each) and may slip into the other (.1 each)."""
    values = meeting_grid.solve(**(SMALL | {"horizon": 1}))
    assert values["optimum"] == values["best_reply"] == pytest.approx(0.6**2 + 0.1**2)
    assert values["random"] == pytest.approx(2 * 0.18**2)


def test_best_reply_finds_the_best_of_all_pairs_of_local_policies():
    """Two steps from a corner of 2 x 2: one cell, then three, so 5**4 policies an agent."""
    policies = list(product(range(5), repeat=4))
    first, second = (np.array([_presence(p, corner) for p in policies]) for corner in (0, 3))
    value = first[:, 0] @ second[:, 0].T + 0.9 * first[:, 1] @ second[:, 1].T
    assert meeting_grid.solve(**SMALL)["best_reply"] == pytest.approx(value.max())


def _presence(policy: tuple[int, ...], start: int) -> np.ndarray:
    """Where an agent is after one and two steps, for actions at the start and in 3 other cells."""
    reached = _move(start, policy[0])
    later = dict(zip([c for c in range(4) if c != 3 - start], policy[1:], strict=True))
    return np.array([reached, sum(reached[c] * _move(c, later[c]) for c in later)])


def _move(cell: int, action: int) -> np.ndarray:
    landing = []
    for dx, dy in [(0, 1), (1, 0), (0, -1), (-1, 0), (0, 0)]:
        x, y = min(max(cell % 2 + dx, 0), 1), min(max(cell // 2 + dy, 0), 1)
        landing.append(np.eye(4)[2 * y + x])
    if action == 4:
        return landing[4]
    return sum((0.6 if move == action else 0.1) * landing[move] for move in range(5))


@pytest.mark.parametrize("change", [{}, {"num_agents": 3}, {"success": 0.2}, {"size": 4}])
def test_order_and_repeatability(change: dict):
    values = meeting_grid.solve(**(GAME | change))
    assert values["random"] < values["best_reply"] < values["optimum"]
    assert values == meeting_grid.solve(**(GAME | change))


@pytest.mark.parametrize("num_agents", [2, 3, 5])
def test_the_game_itself_pays_what_was_solved_for_random_actions(num_agents: int):
    game = GAME | {"size": 2, "num_agents": num_agents, "horizon": 5, "discount": 0.9}
    env = MeetingGrid([3], torch.device("cpu"), num_envs=20_000, observation="position", **game)
    env.reset()
    actions = np.random.default_rng(1).integers(5, size=(5, 1, 20_000, num_agents))
    rewards = [env.step(torch.as_tensor(a)).reward[0].mean(-1).numpy() for a in actions]
    returns = 0.9 ** np.arange(5) @ np.array(rewards)
    error = returns.std() / len(returns) ** 0.5
    assert abs(returns.mean() - meeting_grid.solve(**game)["random"]) < 4 * error
