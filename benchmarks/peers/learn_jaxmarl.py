"""JaxMARL's own scripts train on its spread; mpe2's spread then judges what was learned.

    python -m benchmarks.peers.learn_jaxmarl CHECKOUT --script ippo --steps 4000000

CHECKOUT is a working copy of JaxMARL, whose scripts are run with their own settings; what is typed
here is ours. Needs jaxmarl 0.2.0, distrax, hydra-core, wandb (imported, never used) and mpe2. JaxMARL's
spread has the observations, the physics and the rewards of mpe2's, so that policies need no change; its
episodes are a step longer.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402
import jax.experimental  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import yaml  # noqa: E402
from mpe2 import simple_spread_v3  # noqa: E402

HORIZON = 25
FIRST_SEED = 1_000_000
"""Of mpe2's episodes; the peer's training has no random numbers of mpe2."""


class Peer(NamedTuple):
    """A script of the peer: its settings' file, how it trains, and how its policy acts."""

    settings: str
    train: Callable[[dict[str, Any]], Callable[[Any], Any]]
    """Settings -> a function of a key that returns the parameters of the policy."""
    act: Callable[[dict[str, Any], Any, Any, Any], Any]
    """Settings, parameters, memory (None at first), observations [B, 18] -> memory, distribution."""


def ippo() -> Peer:
    """Return feed-forward independent PPO, one network for all agents."""
    from baselines.IPPO.ippo_ff_mpe import ActorCritic, make_train

    def act(settings: Any, parameters: Any, memory: Any, obs: Any) -> Any:
        network = ActorCritic(5, activation=settings["ACTIVATION"])
        return None, network.apply(parameters, obs)[0]

    def train(settings: Any) -> Any:
        run = make_train(settings)
        return lambda key: run(key)["runner_state"][0].params

    return Peer("IPPO/config/ippo_ff_mpe.yaml", train, act)


def mappo() -> Peer:
    """Return recurrent PPO with a central critic, one network for all agents."""
    from baselines.MAPPO.mappo_rnn_mpe import ActorRNN, ScannedRNN, make_train

    def act(settings: Any, parameters: Any, memory: Any, obs: Any) -> Any:
        if memory is None:
            memory = ScannedRNN.initialize_carry(len(obs), settings["GRU_HIDDEN_DIM"])
        lives = jnp.zeros((1, len(obs)), bool)
        memory, pi = ActorRNN(5, config=settings).apply(parameters, memory, (obs[None], lives))
        return memory, pi[0]

    def train(settings: Any) -> Any:
        run = make_train(settings)
        return lambda key: run(key)["runner_state"][0][0][0].params

    return Peer("MAPPO/config/mappo_homogenous_rnn_mpe.yaml", train, act)


def judge(act: Callable[[Any, Any], Any], episodes: int) -> float:
    """Return the mean return of an agent over fresh episodes of mpe2; actions are sampled."""
    games = [simple_spread_v3.parallel_env(max_cycles=HORIZON) for _ in range(episodes)]
    observations = [game.reset(seed=FIRST_SEED + n)[0] for n, game in enumerate(games)]
    total, memory = 0.0, None
    for key in jax.random.split(jax.random.PRNGKey(FIRST_SEED), HORIZON):
        seen = np.stack([obs for each in observations for obs in each.values()])
        memory, pi = act(memory, jnp.asarray(seen, jnp.float32))
        actions = np.asarray(pi.sample(seed=key)).reshape(episodes, -1)
        for n, game in enumerate(games):
            named = dict(zip(game.possible_agents, actions[n].tolist(), strict=True))
            observations[n], rewards, *_ = game.step(named)
            total += sum(rewards.values()) / len(rewards)
    return total / episodes


def main() -> None:
    """Train and judge; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--script", choices=("ippo", "mappo"), default="ippo")
    parser.add_argument("--steps", type=int, default=4_000_000, help="env steps of a seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=NUMBER", help="other settings")
    options = parser.parse_args()
    sys.path.insert(0, str(options.checkout))
    # What the scripts log computes with jax while jax computes: on one thread they may wait forever.
    jax.experimental.io_callback = lambda *_: None
    peer = {"ippo": ippo, "mappo": mappo}[options.script]()
    settings = yaml.safe_load((options.checkout / "baselines" / peer.settings).read_text())
    changes = {
        key: json.loads(number) for key, _, number in (x.partition("=") for x in options.set)
    }
    settings |= {"TOTAL_TIMESTEPS": options.steps, **changes}
    settings["LR"] = float(settings["LR"])  # YAML 1.1 takes 2e-3 for a text
    keys = jax.random.split(jax.random.PRNGKey(settings["SEED"]), options.seeds)
    start = time.process_time()
    train = jax.vmap(jax.jit(peer.train(settings)))
    parameters = jax.block_until_ready(train(keys))
    answer = {"script": options.script, "steps": options.steps, "changes": changes}
    answer["cpu_seconds"] = time.process_time() - start
    answer["returns"] = []
    for seed in range(options.seeds):
        learned = jax.tree.map(lambda leaf, seed=seed: leaf[seed], parameters)
        act = jax.jit(lambda memory, obs, learned=learned: peer.act(settings, learned, memory, obs))
        answer["returns"].append(judge(act, options.episodes))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
