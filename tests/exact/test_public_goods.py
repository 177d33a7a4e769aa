"""public_goods solved by the number of contributors, against joint actions and the game itself."""

from itertools import product

import numpy as np
import pytest
import torch
from envs.games import make

from marlrun.exact import average_reward, public_goods
from marlrun.exact.walks import Unsolvable

SMALL = {"num_agents": 4, "num_states": 3, "cost": 0.5, "benefit": 1.5, "mdp": 2}
CHANCES = np.random.default_rng(5).random((4, 3))


def goods(**changes):
    keys = SMALL | changes
    return public_goods.make(*(keys[key] for key in SMALL))


def test_one_state_by_hand():
    """Nothing to steer: all contribute for 1 each, or nobody does; random is halfway."""
    keys = SMALL | {"num_states": 1}
    own = goods(num_states=1).state_rewards.mean()
    values = public_goods.solve(**keys, horizon=7)
    assert values == pytest.approx({"optimum": own + 1, "random": own + 0.5, "selfish": own})


def test_the_law_of_contributors_by_enumeration():
    law = public_goods.contributors_law(CHANCES)
    expected = np.zeros((3, 5))
    for actions in product((0, 1), repeat=4):
        chance = [p if a else 1 - p for a, p in zip(actions, CHANCES, strict=True)]
        expected[:, sum(actions)] += np.prod(chance, axis=0)
    assert law == pytest.approx(expected)


def test_by_contributors_is_as_by_joint_actions():
    made = public_goods.game(**SMALL)
    pi = np.stack([1 - CHANCES, CHANCES], axis=-1)
    by_actions = average_reward.evaluate(made, pi).gains
    assert public_goods.value(CHANCES, **SMALL) == pytest.approx(by_actions)
    best, _ = average_reward.optimum(made.transitions, made.team_reward)
    assert public_goods.solve(**SMALL)["optimum"] == pytest.approx(best)


def test_two_of_four_by_hand():
    """Agents 0 and 2 contribute: 0 for them, 1 for the others, besides what the state pays."""
    made = public_goods.game(**SMALL)
    paid = made.rewards[:, :, 0b1010] - goods().state_rewards
    assert paid == pytest.approx(np.array([[0.0], [1], [0], [1]]).repeat(3, axis=1))


@pytest.mark.parametrize("cost", [0.5, 0.05, 0.02])
def test_nobody_gains_by_leaving_the_selfish_equilibrium(cost):
    """Every agent's 2**3 plans, for the first game that has an equilibrium."""
    games = ((mdp, public_goods.selfish(goods(cost=cost, mdp=mdp))) for mdp in range(20))
    mdp, plans = next((mdp, plans) for mdp, plans in games if plans is not None)
    keys = SMALL | {"cost": cost, "mdp": mdp}
    now = public_goods.value(plans.astype(float), **keys)
    assert public_goods.solve(**keys)["selfish"] == pytest.approx(now.mean())
    for agent, plan in product(range(4), product((0, 1), repeat=3)):
        changed = plans.astype(float)
        changed[agent] = plan
        assert public_goods.value(changed, **keys)[agent] <= now[agent] + 1e-9


def test_replies_that_go_in_circles_are_left_out():
    keys = SMALL | {"cost": 0.02}
    solved = [public_goods.solve(**keys | {"mdp": mdp}) for mdp in range(30)]
    assert {len(values) for values in solved} == {2, 3}


def test_who_contributes_nothing_costs_the_others():
    values = public_goods.solve(**SMALL | {"num_agents": 300})
    assert values["selfish"] < values["random"] < values["optimum"]


def test_the_game_itself_pays_what_was_solved():
    env = make("public_goods", num_envs=2_000, **SMALL)
    chances = torch.tensor(CHANCES.T)
    step, paid = env.reset(), []
    for time in range(60):
        chance = chances[step.state[0].argmax(-1)]
        generator = torch.Generator().manual_seed(time)
        action = torch.rand(chance.shape, dtype=torch.float64, generator=generator) < chance
        step = env.step(action.long().unsqueeze(0))
        paid.append(step.reward[0])
    by_copy = torch.stack(paid[10:]).double().mean(0)
    expected = torch.tensor(public_goods.value(CHANCES, **SMALL))
    assert ((by_copy.mean(0) - expected).abs() < 4 * by_copy.std(0) / 2_000**0.5).all()


@pytest.mark.parametrize("changes", [{"num_agents": 100_000}, {"num_states": 5_000}])
def test_too_large_is_told(changes):
    with pytest.raises(Unsolvable, match="agents on .* states; at most 20,000,000"):
        public_goods.solve(**SMALL | changes)
    with pytest.raises(Unsolvable, match=r"2\*\*30"):
        public_goods.game(**SMALL | {"num_agents": 30})
