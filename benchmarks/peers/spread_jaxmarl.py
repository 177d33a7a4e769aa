"""JaxMARL's simple_spread: a compiled scan over steps that are mapped over copies, on one thread."""

import os
from typing import Any

from benchmarks.peers.turns import HORIZON, answer, begin

count = begin()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402
from jaxmarl import make  # noqa: E402

# Its episodes last a step longer than `max_steps`.
env = make("MPE_simple_spread_v3", max_steps=HORIZON - 1)
EPISODES = max(1, 1000 // count)
"""Episodes in a row without coming back to Python."""


def step(carry: Any, _: None) -> tuple[Any, None]:
    """Draw actions and take a step of JaxMARL, which begins anew by itself.

    Observations and rewards are handed on, so the compiler leaves none of them out.
    """
    key, state, *_ = carry
    key, key_action, key_step = jax.random.split(key, 3)
    action = jax.random.randint(key_action, (env.num_agents, count), 0, 5)
    named = dict(zip(env.agents, action, strict=True))
    obs, state, reward, _, _ = jax.vmap(env.step)(jax.random.split(key_step, count), state, named)
    return (key, state, obs, reward), None


@jax.jit
def steps(carry: Any) -> Any:
    """Take the steps of `EPISODES` episodes."""
    return jax.lax.scan(step, carry, length=HORIZON * EPISODES)[0]


obs, state = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), count))
carry = (jax.random.key(1), state, obs, {name: value[:, 0] for name, value in obs.items()})


def play() -> int:
    """Play `EPISODES` episodes in every copy."""
    global carry
    carry = jax.block_until_ready(steps(carry))
    return HORIZON * EPISODES * count


answer(play)
