"""public_goods pays and moves by who contributes."""

import numpy as np
import pytest
import torch
from envs.games import assert_frequency, make

from marlrun.exact import public_goods


@pytest.mark.parametrize(("num_agents", "num_states"), [(2, 1), (6, 5), (7, 4), (40, 3)])
def test_the_tables_are_those_of_numpy(num_agents, num_states):
    env = make("public_goods", num_agents=num_agents, num_states=num_states, mdp=3)
    transitions, own = env.tables()
    goods = public_goods.make(num_agents, num_states, 0.5, 1.5, 3)
    assert np.array_equal(transitions.numpy(), goods.transitions)
    assert np.array_equal(own.numpy(), goods.state_rewards)


def test_contributions_pay_the_others():
    """Agents 0 and 2 of four contribute: they have 1.5 / 3 - .5 = 0, the others 2 * 1.5 / 3 = 1."""
    env = make("public_goods", num_agents=4, num_envs=50)
    state = env.reset().state[0].argmax(-1)
    reward = env.step(torch.tensor([1, 0, 1, 0]).expand(1, 50, 4)).reward[0]
    own = env.tables()[1].T[state]
    assert torch.allclose(reward.double() - own, torch.tensor([0.0, 1, 0, 1]).double(), atol=1e-6)
    assert own.min() >= 0 and own.max() < 1 and len(own.unique()) == 20


def test_the_number_of_contributors_moves_the_state():
    env = make("public_goods", num_agents=3, num_states=2, num_envs=40_000)
    transitions, _ = env.tables()
    step = env.reset()
    for action in ([0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]):
        after = env.step(torch.tensor(action).expand(1, 40_000, 3))
        for state in range(2):
            landed = after.state[step.state[..., state] == 1].argmax(-1)
            assert_frequency(landed == 1, transitions[state, sum(action), 1].item())
        step = env.restart(after)


def test_a_thousand_agents_may_contribute():
    env = make("public_goods", num_agents=1000, num_states=3)
    state = env.reset().state.argmax()
    reward = env.step(torch.ones(1, 1, 1000, dtype=torch.int64)).reward
    assert torch.allclose(reward.double()[0, 0], 1 + env.tables()[1][:, state], atol=1e-6)
