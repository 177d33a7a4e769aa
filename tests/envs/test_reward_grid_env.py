"""reward_grid against its exact tables, and an episode by hand."""

import pytest
import torch
from envs.games import assert_frequency, make
from torch import Tensor

from marlrun.exact import reward_grid

NORTH, EAST, SOUTH, WEST, STAY = range(5)


def cells_of(obs: Tensor) -> Tensor:
    """Undo the observation: [.., 2, 2 * C] -> the own cell and the other's [.., 2, 2]."""
    both = obs.unflatten(-1, (2, -1))
    assert (both.sum(-1) == 1).all()
    return both.argmax(-1)


@pytest.mark.parametrize("keys", [{}, {"size": 2, "penalty": 1.5, "influence": -1.0, "maps": 7}])
def test_it_pays_and_moves_as_the_exact_tables_say(keys):
    env = make("reward_grid", num_envs=300, **keys)
    size = keys.get("size", 3)
    defaults = {"size": 3, "maps": 0, "scale": 2.0, "influence": 0.5, "penalty": 0.0}
    tables = reward_grid.game(**defaults | keys)
    rewards, following = torch.tensor(tables.rewards[..., 0, 0]), tables.transitions.argmax(-1)
    step = env.reset()
    action = torch.arange(600).view(1, 300, 2) * 7 % 5
    for _ in range(12):
        cells = cells_of(step.obs)
        assert (cells[:, :, 1] == cells[:, :, 0].flip(-1)).all()
        state = cells[0, :, 0, 0] * size**2 + cells[0, :, 0, 1]
        after = env.step(action)
        assert torch.allclose(after.reward[0].double(), rewards[:, state].T, atol=1e-5)
        cells = cells_of(after.obs)[0, :, 0]
        expected = following[state, action[0, :, 0], action[0, :, 1]]
        assert (cells[:, 0] * size**2 + cells[:, 1]).tolist() == expected.tolist()
        step, action = env.restart(after), (action + 1) % 5


def test_an_episode_by_hand():
    env = make("reward_grid", horizon=3)
    env.reset()
    state = env.state_dict()
    state["cells"][:] = torch.tensor([0, 8])
    env.load_state_dict(state)
    places = []
    for actions in ((NORTH, EAST), (EAST, SOUTH), (WEST, STAY)):
        after = env.step(torch.tensor([[actions]]))
        places.append(cells_of(after.obs)[0, 0, 0].tolist())
    # Cells are numbered from the south-west, to the east first; walls stop the second agent.
    assert places == [[3, 8], [4, 5], [3, 5]]
    assert after.truncated.all() and not after.terminated.any()


def test_an_episode_begins_in_any_pair_of_cells():
    env = make("reward_grid", num_envs=20_000)
    cells = cells_of(env.reset().obs)[0, :, 0]
    for pair in ([0, 0], [4, 8], [8, 2]):
        assert_frequency((cells == torch.tensor(pair)).all(-1), 1 / 81)
