"""Tables, optimum, values and selfish equilibrium of public_goods, for any number of agents.

Of the others an agent needs to know only how many contribute. N agents, S states.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marlrun.exact import average_reward
from marlrun.exact.average_reward import Game
from marlrun.exact.hashing import probabilities, uniform
from marlrun.exact.walks import Array, Unsolvable

MAX_NUMBERS = 20_000_000
"""How many transition probabilities a solution may hold."""

MAX_WORK = 120_000_000
"""How large agents x states x (agents + states**2) may be: 4,500 agents on 5 states, say."""

MAX_ROUNDS = 20
"""After so many rounds of best replies, one of each agent, they are taken to go in circles."""


class Goods(NamedTuple):
    """The game by the number n of contributors."""

    transitions: Array
    """[S, N + 1, S]: P(s' | s, n)."""
    state_rewards: Array
    """[N, S]: what a state pays an agent."""
    cost: float
    share: float
    """What a contribution pays each other agent."""


def solve(
    *, num_agents: int, num_states: int, cost: float, benefit: float, mdp: int, **ignored: object
) -> dict[str, float]:
    """Return team rewards per step; raise Unsolvable if the game is too large.

    They are "optimum", "random" and "selfish". For the last, agents begin by contributing nothing.
    In turn, from the first agent on, each changes to the policy that is best for its own average
    reward against the present policies of the others, until no agent gains by a change. The value
    is left out if this goes in circles.
    """
    goods = make(num_agents, num_states, cost, benefit, mdp)
    contributors = np.arange(num_agents + 1)
    team = goods.state_rewards.mean(0)[:, None] + contributors * ((benefit - cost) / num_agents)
    values = {
        "optimum": average_reward.optimum(goods.transitions, team)[0],
        "random": float(_values(goods, np.full(goods.state_rewards.shape, 0.5)).mean()),
    }
    plans = selfish(goods)
    if plans is not None:
        values["selfish"] = float(_values(goods, plans.astype(np.float64)).mean())
    return values


def value(
    p: Array,
    *,
    num_agents: int,
    num_states: int,
    cost: float,
    benefit: float,
    mdp: int,
    **ignored: object,
) -> Array:
    """Return J^i [N], the reward per step of every agent, for chances p [N, S] to contribute.

    Their mean is the team's J.
    """
    return _values(make(num_agents, num_states, cost, benefit, mdp), p)


def game(
    *, num_agents: int, num_states: int, cost: float, benefit: float, mdp: int, **ignored: object
) -> Game:
    """Return the game's tables over the 2**N joint actions; raise Unsolvable if too large."""
    if 2**num_agents * num_states * (num_states + num_agents) > MAX_NUMBERS:
        raise Unsolvable(f"too large for tables: {num_states:,} states x 2**{num_agents} actions")
    goods = make(num_agents, num_states, cost, benefit, mdp)
    actions = np.indices((2,) * num_agents).reshape(num_agents, 1, -1)
    contributors = actions.sum(0)
    payments = goods.share * (contributors - actions) - cost * actions
    return Game(goods.transitions[:, contributors[0]], goods.state_rewards[:, :, None] + payments)


def make(num_agents: int, num_states: int, cost: float, benefit: float, mdp: int) -> Goods:
    """Return the game by the number of contributors; raise Unsolvable if it is too large."""
    work = num_agents * num_states * (num_agents + num_states**2)
    if work > MAX_WORK or num_agents * num_states**2 > MAX_NUMBERS:
        raise Unsolvable(
            f"too large to solve exactly: {num_agents:,} agents on {num_states:,} states; at most "
            f"{MAX_NUMBERS:,} for agents x states**2, and {MAX_WORK:,} for agents x states x "
            "(agents + states**2)"
        )
    rows = num_states * (num_agents + 1)
    weights = uniform(mdp, "public_goods/transitions", rows, num_states) * 2**24
    transitions = probabilities(weights.astype(np.int64)).reshape(num_states, -1, num_states)
    state_rewards = uniform(mdp, "public_goods/rewards", num_states, num_agents).T
    return Goods(transitions, state_rewards, cost, benefit / (num_agents - 1))


def contributors_law(p: Array) -> Array:
    """Return the law [S, N + 1] of the number of contributors, for chances p [N, S]."""
    law = np.zeros((p.shape[1], len(p) + 1))
    law[:, 0] = 1
    for chance in p[:, :, None]:
        law[:, 1:] = law[:, 1:] * (1 - chance) + law[:, :-1] * chance
        law[:, :1] *= 1 - chance
    return law


def selfish(goods: Goods) -> NDArray[np.intp] | None:
    """Return the equilibrium [N, S] of zeros and ones that `solve` describes, None without one."""
    plans = np.zeros(goods.state_rewards.shape, dtype=np.intp)
    visited: set[bytes] = set()
    while len(visited) < MAX_ROUNDS and plans.tobytes() not in visited:
        visited.add(plans.tobytes())
        before = plans.copy()
        for agent in range(len(plans)):
            plans[agent] = reply(goods, plans, agent)
        if np.array_equal(plans, before):
            return plans
    return None


def reply(goods: Goods, plans: NDArray[np.intp], agent: int) -> NDArray[np.intp]:
    """Return the plan [S] that is best for the agent against the others' plans [N, S]."""
    num_others = (plans.sum(0) - plans[agent])[:, None]
    action = np.arange(2)
    reward = goods.state_rewards[agent][:, None] + goods.share * num_others - goods.cost * action
    transitions = goods.transitions[np.arange(len(num_others))[:, None], num_others + action]
    return average_reward.optimum(transitions, reward, plans[agent])[1]


def _values(goods: Goods, p: Array) -> Array:
    """Return J^i [N] of chances p [N, S]."""
    transitions = np.einsum("sn,snt->st", contributors_law(p), goods.transitions)
    rewards = goods.state_rewards + goods.share * (p.sum(0) - p) - goods.cost * p
    return rewards @ average_reward.stationary(transitions)
