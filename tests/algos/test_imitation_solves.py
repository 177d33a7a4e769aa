"""A one-shot game: policies become the expert's, whatever the game pays, and g its log-odds."""

import io
import math

import pytest
import torch
from algos.demonstrated import changed

from marlrun.algos.ma_airl import ma_airl
from marlrun.data.demonstrations import Episode, write
from marlrun.envs.matrix_game import MatrixGame
from marlrun.runner.loop import online
from marlrun.system.reading import InputFile

CPU = torch.device("cpu")
SEEDS = [0, 1, 2, 3]
SHARE = (0.75, 0.3)
"""How often the expert's two agents take action 1; the game pays for action 0."""


def shown(spec) -> InputFile:
    generator = torch.Generator().manual_seed(0)
    episodes = []
    for _ in range(4000):
        action = (torch.rand(1, 2, generator=generator) < torch.tensor(SHARE)).long()
        obs = torch.ones(2, 2, max(spec.obs_sizes))
        episodes.append(Episode(obs, action, torch.zeros(1, 2), True, False))
    card = {
        "agents": list(spec.agent_names),
        "obs_sizes": list(spec.obs_sizes),
        "num_actions": list(spec.num_actions),
        "env": {},
    }
    file = io.BytesIO()
    write(file, card, episodes)
    return InputFile("shown.npz", file.getvalue())


@pytest.mark.usefixtures("one_thread")
def test_policies_become_the_experts_and_g_its_log_odds():
    keys = {"game": "coordination", "payoff": None, "horizon": 1, "discount": 1.0}
    env = MatrixGame(SEEDS, CPU, num_envs=64, **keys)
    settings = changed(
        demonstrations=shown(env.spec),
        discriminator={
            "inputs": "state_action",
            "steps": 4,
            "batch": 250,
            "lr_final": 0.0,
            "l2": 0.0,
        },
        replay={"share": 0.5, "capacity": 4000, "first_share": 0.0},
        ppo={
            "rollout": 4,
            "lr": 0.01,
            "lr_final": 0.0,
            "entropy": 0.0,
            "anneal_steps": 64 * 1000,
            "normalise_observations": False,
        },
    )
    learner = ma_airl(env.spec, SEEDS, CPU, num_envs=64, reward="f_minus_logq", settings=settings)
    loop = online(learner, env, learner.policy(True, SEEDS), env.reset())
    for _ in range(1000):
        next(loop)
    obs = torch.ones(4, 2, 2, max(env.spec.obs_sizes))
    action = torch.tensor([[0, 0], [1, 1]]).expand(4, 2, 2)
    share = learner.ppo.networks.log_prob(obs, action).exp()[:, 1].mean(0)
    torch.testing.assert_close(share, torch.tensor(SHARE), atol=0.08, rtol=0)
    g = learner.teacher.recovered(obs, action)
    odds = [math.log(share / (1 - share)) for share in SHARE]
    torch.testing.assert_close((g[:, 1] - g[:, 0]).mean(0), torch.tensor(odds), atol=0.25, rtol=0)
