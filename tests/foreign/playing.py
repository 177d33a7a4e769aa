"""Foreign games as environments, and what they do under fixed actions."""

import torch

from marlrun.envs.pettingzoo.game import PettingZooGame

CPU = torch.device("cpu")
DEFAULTS = {
    "num_envs": 1,
    "kwargs": {},
    "horizon": 50,
    "discount": 1.0,
    "agents_leave": True,
    "state": False,
    "workers": 0,
    "plugins": ["foreign"],
}


def make(name="Toy", seeds=(0,), **keys):
    """Return a game; a name without a dot is that of a toy."""
    game_id = name if "." in name else f"foreign.toys:{name}"
    return PettingZooGame(list(seeds), CPU, **{"id": game_id, **DEFAULTS, **keys})


def actions_at(env, time):
    """Return actions [R, E, N] of their own for every replica, copy, agent and time."""
    shape = env.step_shape if hasattr(env, "step_shape") else (len(env._seeds), env.num_envs)
    counts = torch.tensor(env.spec.num_actions)
    numbers = torch.arange(shape[0] * shape[1] * len(counts)).view(*shape, -1) * 7 + time * 3
    return (numbers + numbers // 5) % counts


def play(env, steps):
    """Return every step of a game, after reset, step and restart."""
    seen = [env.reset()]
    for time in range(steps):
        after = env.step(actions_at(env, time))
        seen += [after, env.restart(after)]
    return seen


def same(a, b):
    """Say whether two games showed the same, bit for bit."""
    pairs = [
        (x, y) for left, right in zip(a, b, strict=True) for x, y in zip(left, right, strict=True)
    ]
    return all(x is y is None or torch.equal(x, y) for x, y in pairs)
