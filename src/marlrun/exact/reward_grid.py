"""Tables, optimum and equilibrium of reward_grid.

The expert is the stationary LSBRE under the game's discount (`markov_lsbre`): its clock is not
seen, and an episode is only cut by it. Where `penalty` is 0, what agent i does moves its own cell
alone, and its reward is a sum of what its own cell pays and what the other's cell pays. So
Q_i(s, a) is a sum of a number that a_i decides and one that a_-i decides, and the law is a product
of policies that are the soft-optimal ones of the own map alone.
"""

import itertools
from typing import Any

import numpy as np

from marlrun.exact.hashing import uniform
from marlrun.exact.lsbre import Array
from marlrun.exact.markov_game import Game, correlation, returns, shares
from marlrun.exact.markov_lsbre import Equilibrium, stationary
from marlrun.exact.walks import MOVES, Unsolvable, Walk, best, landings, refuse_large


def solve(
    *,
    size: int,
    maps: int,
    scale: float,
    influence: float,
    penalty: float,
    horizon: int,
    discount: float,
    **ignored: object,
) -> dict[str, float]:
    """Return the "optimum" and "random" return of an episode, mean over agents, and the "expert"'s.

    "optimum" is that of agents that act as one, "expert" that of the stationary LSBRE, left out
    where there is none. Unsolvable if `horizon` is too long.
    """
    keys: dict[str, Any] = {
        "size": size,
        "maps": maps,
        "scale": scale,
        "influence": influence,
        "penalty": penalty,
        "discount": discount,
    }
    refuse_large(size**2, len(MOVES), 2, horizon)
    tables = game(**keys)
    walk = Walk(landings(size, MOVES, walls=True), np.eye(len(MOVES)))
    pay = tables.rewards[..., 0, 0].mean(0).reshape(size**2, size**2)
    optimum = random = np.zeros_like(pay)
    for _ in range(horizon):
        optimum = pay + discount * best(optimum, walk)
        random = pay + discount * best(random, walk.at_random())
    values = {"optimum": float(optimum.mean()), "random": float(random.mean())}
    try:
        law = expert(**keys).law
    except Unsolvable:
        return values
    return values | {"expert": float(returns(tables, law, horizon, discount).mean())}


def details(**keys: Any) -> dict[str, Any]:
    """Return the expert's "policies" [N][cell_0][cell_1][action] and its "correlation", or None.

    The second is the mean over joint cells of how many nats agents' actions tell of each other's:
    0 where the policies are all of the law.
    """
    try:
        law = expert(**keys).law
    except Unsolvable:
        return {"policies": None, "correlation": None}
    cells = (keys["size"] ** 2,) * 2
    policies = [share.reshape(*cells, -1).round(6).tolist() for share in shares(law)]
    return {"policies": policies, "correlation": float(correlation(law).mean())}


def game(
    *,
    size: int,
    maps: int,
    scale: float,
    influence: float,
    penalty: float,
    walls: bool = True,
    **ignored: object,
) -> Game:
    """Return the game's tables; the number of a joint state is cell_0 * size**2 + cell_1.

    Without `walls` it is a changed game, on a torus, in which a recovered reward can be tried.
    """
    num_cells = size**2
    drawn = scale * (2 * uniform(maps, "reward_grid/maps", 2, 2, num_cells) - 1)
    (own_0, of_1), (own_1, of_0) = drawn
    meets = penalty * np.eye(num_cells)
    pay = np.stack(
        [
            own_0[:, None] + influence * of_1 - meets,
            own_1 + influence * of_0[:, None] - meets,
        ]
    )
    num_actions = len(MOVES)
    rewards = np.broadcast_to(pay.reshape(2, -1, 1, 1), (2, num_cells**2, num_actions, num_actions))
    return Game(rewards, _transitions(size, walls))


def expert(*, discount: float, **keys: Any) -> Equilibrium:
    """Return the stationary LSBRE of the game; Unsolvable if there is none."""
    if discount == 1:
        raise Unsolvable("env.discount=1: its expert is stationary, expected a discount below 1")
    return stationary(game(**keys), discount)


def _transitions(size: int, walls: bool) -> Array:
    """Return P(s' | s, a) [S, A, A, S]."""
    num_cells, landing = size**2, landings(size, MOVES, walls=walls)
    transitions = np.zeros((num_cells, num_cells, len(MOVES), len(MOVES), num_cells**2))
    for x, y, a, b in itertools.product(*map(range, transitions.shape[:4])):
        transitions[x, y, a, b, landing[a, x] * num_cells + landing[b, y]] = 1
    return transitions.reshape(num_cells**2, len(MOVES), len(MOVES), -1)
