"""networked_mdp solved, against the game itself and brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from envs.games import make

from marlrun.exact import average_reward, networked_mdp
from marlrun.exact.walks import Unsolvable

SMALL = {"num_agents": 3, "num_states": 4, "num_actions": 2, "mdp": 2}


def test_the_optimum_is_the_best_central_policy():
    """All 8**4 choices of a joint action in every state."""
    made = networked_mdp.game(**SMALL)
    states = np.arange(4)
    gains = []
    for choice in product(range(8), repeat=4):
        law = average_reward.stationary(made.transitions[states, choice])
        gains.append(law @ made.team_reward[states, choice])
    values = networked_mdp.solve(**SMALL, horizon=100)
    assert values["optimum"] == pytest.approx(max(gains))
    anyhow = networked_mdp.value(np.full((3, 4, 2), 0.5), **SMALL)
    assert values["random"] == pytest.approx(anyhow.mean())


def test_one_state_by_hand():
    """The law is trivial: the best joint action pays the optimum, all of them the random value."""
    keys = SMALL | {"num_states": 1}
    team = networked_mdp.game(**keys).team_reward[0]
    values = networked_mdp.solve(**keys)
    assert values == pytest.approx({"optimum": team.max(), "random": team.mean()})


def test_the_game_itself_pays_what_was_solved():
    """2,000 copies for 100 steps under policies of which each agent and state has its own."""
    pi = np.random.default_rng(4).dirichlet(np.ones(2), size=(3, 4))
    law = average_reward.evaluate(networked_mdp.game(**SMALL), pi).law
    env = make("networked_mdp", num_envs=2_000, horizon=30, **SMALL)
    chances = torch.tensor(pi[:, :, 1].T)
    step, paid, met = env.reset(), [], []
    for time in range(110):
        chance = chances[step.state[0].argmax(-1)]
        generator = torch.Generator().manual_seed(time)
        action = torch.rand(chance.shape, dtype=torch.float64, generator=generator) < chance
        after = env.step(action.long().unsqueeze(0))
        paid.append(after.reward[0])
        met.append(after.state[0])
        step = env.restart(after)
    by_copy = torch.stack(paid[10:]).double().mean(0)
    error = by_copy.std(0) / 2_000**0.5
    expected = networked_mdp.value(pi, **SMALL)
    assert ((by_copy.mean(0) - torch.tensor(expected)).abs() < 4 * error).all()
    shares = torch.stack(met[10:]).double().mean(0)
    error = shares.std(0) / 2_000**0.5
    assert ((shares.mean(0) - torch.tensor(law)).abs() < 4 * error).all()


def test_too_large_is_told():
    with pytest.raises(Unsolvable, match=r"20 states x 2\*\*20 joint actions x 40 numbers"):
        networked_mdp.solve(num_agents=20, num_states=20, num_actions=2, mdp=0)
