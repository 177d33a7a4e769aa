"""meeting_grid against the fact sheet: counted chances, walls, corners, rewards."""

import pytest
import torch
from envs.games import assert_frequency, make
from torch import Tensor

NORTH, EAST, SOUTH, WEST, STAY = range(5)
MANY = 40_000


def game(**changes):
    return make("meeting_grid", **changes)


def put(env, *agents: tuple[int, int]) -> None:
    """Place agents at (x, y) in all copies."""
    state = env.state_dict()
    state["cells"][:] = torch.tensor([y * env._size + x for x, y in agents])
    env.load_state_dict(state)


def act(env, *actions: int):
    """Play the same actions in all copies."""
    return env.step(torch.tensor(actions).repeat(*env._cells.shape[:2], 1))


def where(env, obs: Tensor) -> Tensor:
    """Undo observation=position: [.., 2 * size] -> (x, y)."""
    assert (obs.unflatten(-1, (2, -1)).sum(-1) == 1).all()
    return obs.unflatten(-1, (2, -1)).argmax(-1)


@pytest.mark.parametrize("action", [NORTH, EAST, SOUTH, WEST])
def test_a_move_succeeds_with_six_in_ten_and_else_is_any_other(action):
    env = game(num_envs=MANY)
    env.reset()
    put(env, (1, 1), (1, 1))
    landed = where(env, act(env, action, action).obs)[0]
    cells = [(1, 2), (2, 1), (1, 0), (0, 1), (1, 1)]
    for outcome, cell in enumerate(cells):
        hits = (landed == torch.tensor(cell)).all(-1)
        chance = 0.6 if outcome == action else 0.1
        assert_frequency(hits[:, 0], chance)
        assert_frequency(hits.all(-1), chance**2)


def test_a_wall_keeps_an_agent_in_place():
    """In the south-west corner west fails and so do the slips to the south and to staying."""
    env = game(num_envs=MANY)
    env.reset()
    put(env, (0, 0), (2, 2))
    landed = where(env, act(env, WEST, STAY).obs)[0, :, 0]
    for cell, chance in {(0, 0): 0.8, (0, 1): 0.1, (1, 0): 0.1}.items():
        assert_frequency((landed == torch.tensor(cell)).all(-1), chance)


@pytest.mark.parametrize("success", [0.0, 1.0])
def test_success_may_be_never_or_always(success):
    env = game(num_envs=MANY, success=success)
    env.reset()
    put(env, (1, 1), (1, 1))
    landed = where(env, act(env, EAST, EAST).obs)[0]
    east = (landed == torch.tensor((2, 1))).all(-1)
    assert bool(east.all()) == bool(success) and bool(east.any()) == bool(success)
    assert_frequency((landed == torch.tensor((1, 1))).all(-1)[:, 0], (1 - success) / 4)


def test_staying_never_slips():
    env = game(num_envs=1000, success=0.1)
    env.reset()
    assert (where(env, act(env, STAY, STAY).obs)[0] == torch.tensor([(0, 0), (2, 2)])).all()


def test_agents_start_in_corners_opposite_ones_first():
    env = game(size=4, num_agents=6)
    corners = [[0, 0], [3, 3], [3, 0], [0, 3], [0, 0], [3, 3]]
    assert where(env, env.reset().obs)[0, 0].tolist() == corners


def test_an_episode_by_hand():
    """Without slips two agents meet in the middle, stay, part, and the clock ends it."""
    env = game(success=1.0, horizon=4)
    env.reset()
    rewards, steps = [], [(NORTH, SOUTH), (EAST, WEST), (STAY, STAY), (STAY, WEST)]
    for actions in steps:
        after = act(env, *actions)
        rewards.append(after.reward[0, 0].tolist())
        assert not after.terminated.any()
    assert rewards == [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert after.truncated.all()
    step = env.restart(after)
    assert where(env, step.obs)[0, 0].tolist() == [[0, 0], [2, 2]]


def test_all_agents_must_meet():
    env = game(num_agents=3)
    env.reset()
    put(env, (1, 1), (1, 1), (1, 2))
    assert not act(env, STAY, STAY, STAY).reward.any()
    put(env, (1, 1), (1, 1), (1, 1))
    assert act(env, STAY, STAY, STAY).reward.tolist() == [[[1, 1, 1]]]


def test_walls_are_seen_to_the_north_east_south_and_west():
    env = game(observation="walls", num_agents=4)
    env.reset()
    put(env, (0, 0), (1, 2), (2, 1), (1, 1))
    walls = [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert act(env, STAY, STAY, STAY, STAY).obs[0, 0].tolist() == walls
