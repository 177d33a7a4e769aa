"""networked_mdp draws the paper's random game, row by row."""

import numpy as np
import pytest
import torch
from envs.games import assert_frequency, make

from marlrun.exact import networked_mdp

WORD = (1 << 64) - 1


@pytest.mark.parametrize(
    "size", [(1, 1, 1), (1, 3, 4), (2, 5, 2), (3, 4, 3), (5, 7, 3), (10, 20, 2)], ids=str
)
def test_rows_are_the_tables_of_numpy(size):
    """Bit for bit: the numbers are integers until one division."""
    keys = dict(zip(("num_agents", "num_states", "num_actions"), size, strict=True)) | {"mdp": 5}
    transitions, rewards = make("networked_mdp", **keys).tables()
    game = networked_mdp.game(**keys)
    assert np.array_equal(transitions.numpy(), game.transitions)
    assert np.array_equal(rewards.numpy(), game.rewards)


def test_a_row_of_2_to_the_20_by_hand():
    """Zobrist's sum and SplitMix64's finaliser in plain Python, for 20 agents."""
    env = make("networked_mdp")
    action = torch.arange(20).view(1, 1, 20) % 3 % 2
    sums, mean = env._row(torch.tensor([[4]]), action)
    words = [word & WORD for word in env._action_words.tolist()]
    key = sum(words[2 * i + a] for i, a in enumerate(action.flatten().tolist()))
    key += env._state_words[4].item()
    halves = []
    for word in env._row_words.tolist():
        z = (key + word) & WORD
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        z ^= z >> 31
        halves += [(z >> 8) & 0xFFFFFF, z >> 40]
    assert sums.diff(dim=-1).flatten().tolist() == [half + 168 for half in halves[1:20]]
    assert mean.flatten().tolist() == [half / 2**22 for half in halves[20:]]


def test_numbers_are_uniform_and_neighbours_have_nothing_in_common():
    transitions, rewards = make("networked_mdp", num_agents=10).tables()
    assert transitions.sum(-1).sub(1).abs().max() < 1e-12 and (transitions > 0).all()
    assert 0 <= rewards.min() < 0.001 and 3.999 < rewards.max() < 4
    for quarter in range(4):
        assert_frequency((rewards >= quarter) & (rewards < quarter + 1), 0.25)
    for table in (transitions, rewards.movedim(0, -1)):
        by_action = table.reshape(20, *[2] * 10, -1)
        for agent in (1, 5, 10):
            one, other = (by_action.select(agent, action).flatten() for action in range(2))
            correlation = torch.corrcoef(torch.stack((one, other)))[0, 1]
            assert abs(correlation) < 4 / len(one) ** 0.5


def test_the_game_is_mdps_and_not_the_seeds():
    one, same, other = (
        make("networked_mdp", seed, num_agents=3, mdp=mdp).tables()
        for seed, mdp in ((0, 0), (9, 0), (0, 1))
    )
    assert all(map(torch.equal, one, same))
    assert not any(map(torch.equal, one, other))


def test_copies_move_and_are_paid_by_the_tables():
    env = make("networked_mdp", num_agents=2, num_states=3, num_envs=60_000)
    transitions, rewards = env.tables()
    before = env.reset().state[0].argmax(-1)
    for state in range(3):
        assert_frequency(before == state, 1 / 3)
    after = env.step(torch.tensor([1, 0]).expand(1, 60_000, 2))
    noise = after.reward[0] - rewards[:, before, 2].T
    assert -0.5 <= noise.min() < -0.499 and 0.499 < noise.max() <= 0.5
    assert abs(noise.mean()) < 4 * (1 / 12 / noise.numel()) ** 0.5
    assert abs(torch.corrcoef(noise.T)[0, 1]) < 4 / 60_000**0.5
    for state in range(3):
        landed = after.state[0, before == state].argmax(-1)
        for later in range(3):
            assert_frequency(landed == later, transitions[state, 2, later].item())


def test_a_thousand_agents():
    env = make("networked_mdp", num_agents=1000, num_envs=2)
    env.reset()
    reward = env.step(torch.ones(1, 2, 1000, dtype=torch.int64)).reward
    assert abs(reward.mean() - 2) < 4 * ((16 + 1) / 12 / 2000) ** 0.5
