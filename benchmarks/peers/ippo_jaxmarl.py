"""IPPO in JAX on JaxMARL's simple_spread: acting and learning in one compiled scan, on one thread.

JaxMARL's training script (baselines/IPPO/ippo_ff_mpe.py with config/ippo_ff_mpe.yaml) is no part of its
package. This one is written for this benchmark, with that script's algorithm and settings.
"""

import os
from typing import Any, NamedTuple

from benchmarks.peers.turns import HORIZON, answer, begin

seeds = begin()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from jaxmarl import make  # noqa: E402

COPIES, ROLLOUT, EPOCHS, MINIBATCHES, HIDDEN = 16, 128, 4, 4, 64
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM, LR = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 2.5e-4
UPDATES = 10_000_000 // (COPIES * ROLLOUT)

# Its episodes last a step longer than `max_steps`.
env = make("MPE_simple_spread_v3", max_steps=HORIZON - 1)
AGENTS = env.agents
NUM_ACTIONS = env.action_space(AGENTS[0]).n
NUM_FEATURES = env.observation_space(AGENTS[0]).shape[0]


class Transition(NamedTuple):
    """Of all agents and copies side by side: [agents * copies, ..]."""

    obs: Any
    action: Any
    reward: Any
    done: Any
    value: Any
    log_pi: Any


def schedule(count: Any) -> Any:
    """Return the step size, the same for all minibatches of a rollout."""
    return LR * (1 - (count // (EPOCHS * MINIBATCHES)) / UPDATES)


optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(schedule, eps=1e-5))


def layers(key: Any, outputs: int, last_gain: float) -> list[tuple[Any, Any]]:
    """Draw a perceptron with two hidden layers."""
    sizes, gains = (NUM_FEATURES, HIDDEN, HIDDEN, outputs), (2**0.5, 2**0.5, last_gain)
    keys = jax.random.split(key, 3)
    shapes = zip(keys, sizes, sizes[1:], gains, strict=False)
    return [
        (jax.nn.initializers.orthogonal(gain)(key, (inputs, width)), jnp.zeros(width))
        for key, inputs, width, gain in shapes
    ]


def perceptron(parameters: list[tuple[Any, Any]], x: Any) -> Any:
    """Apply it, with tanh between layers."""
    *hidden, (weight, bias) = parameters
    for inner_weight, inner_bias in hidden:
        x = jnp.tanh(x @ inner_weight + inner_bias)
    return x @ weight + bias


def evaluate(networks: Any, obs: Any) -> tuple[Any, Any]:
    """Return log pi of all actions, and the value."""
    log_pi = jax.nn.log_softmax(perceptron(networks["actor"], obs))
    return log_pi, perceptron(networks["critic"], obs)[..., 0]


def of(log_pi: Any, action: Any) -> Any:
    """Return the part of the action taken."""
    return jnp.take_along_axis(log_pi, action[..., None], -1)[..., 0]


def rows(named: dict[str, Any]) -> Any:
    """Lay agents and copies out side by side."""
    return jnp.stack([named[agent] for agent in AGENTS]).reshape(len(AGENTS) * COPIES, -1)


def act(carry: Any, _: None) -> tuple[Any, Transition]:
    """Take a step in every copy; JaxMARL begins anew by itself."""
    networks, state, obs, key = carry
    key, key_action, key_step = jax.random.split(key, 3)
    log_pi, value = evaluate(networks, obs)
    action = jax.random.categorical(key_action, log_pi)
    named = dict(zip(AGENTS, action.reshape(len(AGENTS), COPIES), strict=True))
    keys = jax.random.split(key_step, COPIES)
    following, state, reward, done, _ = jax.vmap(env.step)(keys, state, named)
    transition = Transition(
        obs, action, rows(reward)[:, 0], rows(done)[:, 0], value, of(log_pi, action)
    )
    return (networks, state, rows(following), key), transition


def advantages(steps: Transition, last_value: Any) -> Any:
    """Return generalised advantages [T, agents * copies]."""

    def back(carry: Any, step: Transition) -> tuple[Any, Any]:
        advantage, next_value = carry
        delta = step.reward + GAMMA * next_value * (1 - step.done) - step.value
        advantage = delta + GAMMA * LAMBDA * (1 - step.done) * advantage
        return (advantage, step.value), advantage

    start = (jnp.zeros_like(last_value), last_value)
    return jax.lax.scan(back, start, steps, reverse=True, unroll=8)[1]


def loss(networks: Any, steps: Transition, advantage: Any, target: Any) -> Any:
    """Return the clipped losses of a minibatch."""
    log_pi, value = evaluate(networks, steps.obs)
    near = steps.value + (value - steps.value).clip(-CLIP, CLIP)
    value_loss = jnp.maximum((value - target) ** 2, (near - target) ** 2).mean() / 2
    ratio = jnp.exp(of(log_pi, steps.action) - steps.log_pi)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    policy_loss = -jnp.minimum(ratio * advantage, ratio.clip(1 - CLIP, 1 + CLIP) * advantage).mean()
    entropy = -(jnp.exp(log_pi) * log_pi).sum(-1).mean()
    return policy_loss + VALUE * value_loss - ENTROPY * entropy


def descend(carry: Any, batch: Any) -> tuple[Any, Any]:
    """Move the networks by a minibatch."""
    networks, moments = carry
    value, gradient = jax.value_and_grad(loss)(networks, *batch)
    change, moments = optimiser.update(gradient, moments)
    return (optax.apply_updates(networks, change), moments), value


def learn(carry: Any, _: None) -> tuple[Any, Any]:
    """Play a rollout, and learn from it."""
    networks, moments, state, obs, key = carry
    (_, state, obs, key), steps = jax.lax.scan(act, (networks, state, obs, key), length=ROLLOUT)
    advantage = advantages(steps, evaluate(networks, obs)[1])
    samples = (steps, advantage, advantage + steps.value)
    samples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), samples)

    def epoch(carry: Any, key: Any) -> tuple[Any, Any]:
        order = jax.random.permutation(key, ROLLOUT * COPIES * len(AGENTS))
        shuffled = jax.tree.map(lambda x: x[order].reshape(MINIBATCHES, -1, *x.shape[1:]), samples)
        return jax.lax.scan(descend, carry, shuffled)

    key, key_epochs = jax.random.split(key)
    keys = jax.random.split(key_epochs, EPOCHS)
    (networks, moments), losses = jax.lax.scan(epoch, (networks, moments), keys)
    return (networks, moments, state, obs, key), (losses.mean(), steps.reward.mean())


def start(seed: Any) -> Any:
    """Return what `learn` carries on from."""
    key_actor, key_critic, key_env, key = jax.random.split(seed, 4)
    networks = {
        "actor": layers(key_actor, NUM_ACTIONS, 0.01),
        "critic": layers(key_critic, 1, 1.0),
    }
    obs, state = jax.vmap(env.reset)(jax.random.split(key_env, COPIES))
    return networks, optimiser.init(networks), state, rows(obs), key


carry = jax.vmap(start)(jax.random.split(jax.random.key(0), seeds))
several = jax.jit(lambda carry: jax.lax.scan(jax.vmap(learn, (0, None)), carry, length=4))
results: Any = ()


def play() -> int:
    """Play four rollouts and learn from them, for every seed."""
    global carry, results
    carry, results = jax.block_until_ready(several(carry))
    return 4 * ROLLOUT * COPIES * seeds


if __name__ == "__main__":
    answer(play)
