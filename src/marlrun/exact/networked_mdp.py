"""Tables, optimum and values of networked_mdp, computed in numpy."""

from functools import reduce

import numpy as np

from marlrun.exact import average_reward
from marlrun.exact.average_reward import Game
from marlrun.exact.hashing import halves, mix, probabilities, words
from marlrun.exact.walks import Array, Unsolvable

MAX_NUMBERS = 20_000_000
"""How many numbers the tables of a game may hold: 14 agents with 2 actions on 20 states, say."""

MAX_STATES = 2_000


def solve(
    *, num_agents: int, num_states: int, num_actions: int, mdp: int, **ignored: object
) -> dict[str, float]:
    """Return the "optimum" and "random" team reward per step; raise Unsolvable if too large."""
    tables = game(num_agents=num_agents, num_states=num_states, num_actions=num_actions, mdp=mdp)
    best, _ = average_reward.optimum(tables.transitions, tables.team_reward)
    uniform = np.full((num_agents, num_states, num_actions), 1 / num_actions)
    return {"optimum": best, "random": float(average_reward.evaluate(tables, uniform).gains.mean())}


def value(
    pi: Array, *, num_agents: int, num_states: int, num_actions: int, mdp: int, **ignored: object
) -> Array:
    """Return J^i [N] of policies [N, S, A], every agent's reward per step; their mean is J."""
    tables = game(num_agents=num_agents, num_states=num_states, num_actions=num_actions, mdp=mdp)
    return average_reward.evaluate(tables, pi).gains


def game(
    *, num_agents: int, num_states: int, num_actions: int, mdp: int, **ignored: object
) -> Game:
    """Return the game's tables; raise Unsolvable if they are too large."""
    _refuse_large(num_agents, num_actions, num_states)
    action_words = words(mdp, "networked_mdp/actions", num_agents * num_actions)
    joint_action_words = reduce(np.add.outer, action_words.reshape(num_agents, num_actions)).ravel()
    state_words = words(mdp, "networked_mdp/states", num_states)
    row_words = words(mdp, "networked_mdp/row", (num_states + num_agents + 1) // 2)
    rows = np.add.outer(np.add.outer(state_words, joint_action_words), row_words)
    numbers = halves(mix(rows))
    rewards = np.moveaxis(numbers, -1, 0)[num_states : num_states + num_agents]
    return Game(probabilities(numbers[..., :num_states]), 4 * 2.0**-24 * rewards.astype(np.float64))


def _refuse_large(num_agents: int, num_actions: int, num_states: int) -> None:
    width = num_states + num_agents
    if num_states > MAX_STATES or num_actions**num_agents * num_states * width > MAX_NUMBERS:
        raise Unsolvable(
            f"too large to solve exactly: {num_states:,} states x {num_actions:,}**{num_agents:,} "
            f"joint actions x {width:,} numbers; at most {MAX_STATES:,} states, and "
            f"{MAX_NUMBERS:,} in all"
        )
