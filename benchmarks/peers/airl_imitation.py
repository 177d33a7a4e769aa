"""AIRL of the imitation library on seals' CartPole, with the settings of its own tutorial, on one thread.

The settings are those of docs/tutorials/4_train_airl.ipynb of imitation 1.0.1. Its expert is to be
downloaded; here 60 episodes of an untrained policy stand in its place, as many and as long, which
changes what is learned and not what it costs.
"""

from benchmarks.peers.turns import answer, begin

begin()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from imitation.algorithms.adversarial.airl import AIRL  # noqa: E402
from imitation.data import rollout  # noqa: E402
from imitation.data.wrappers import RolloutInfoWrapper  # noqa: E402
from imitation.rewards.reward_nets import BasicShapedRewardNet  # noqa: E402
from imitation.util import logger  # noqa: E402
from imitation.util.networks import RunningNorm  # noqa: E402
from imitation.util.util import make_vec_env  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402

torch.set_num_threads(1)
COPIES, EPISODES = 8, 60

games = make_vec_env(
    "seals:seals/CartPole-v0",
    rng=np.random.default_rng(0),
    n_envs=COPIES,
    post_wrappers=[lambda env, _: RolloutInfoWrapper(env)],
)
generator = PPO(
    "MlpPolicy",
    games,
    batch_size=64,
    ent_coef=0.0,
    learning_rate=0.0005,
    gamma=0.95,
    clip_range=0.1,
    vf_coef=0.1,
    n_epochs=5,
)
trainer = AIRL(
    demonstrations=rollout.rollout(
        generator,
        games,
        rollout.make_sample_until(min_episodes=EPISODES),
        rng=np.random.default_rng(0),
    ),
    demo_batch_size=2048,
    gen_replay_buffer_capacity=512,
    n_disc_updates_per_round=16,
    venv=games,
    gen_algo=generator,
    reward_net=BasicShapedRewardNet(
        games.observation_space, games.action_space, normalize_input_layer=RunningNorm
    ),
    custom_logger=logger.configure("outputs/peers/log", format_strs=[]),
)
ROUND = trainer.gen_train_timesteps


def play() -> int:
    """Play a round and learn from it."""
    trainer.train(ROUND)
    return ROUND


if __name__ == "__main__":
    answer(play)
