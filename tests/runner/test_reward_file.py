"""reward.pt: what the newest checkpoint has recovered, with it and without it."""

import torch
from runner.fakes import config

from marlrun.runner.checkpoint import Checkpoints, load
from marlrun.runner.train import resume, train

CPU = torch.device("cpu")


def values(directory):
    checkpoint = load(Checkpoints(directory).latest(), CPU)
    reward = load(directory / "reward.pt", CPU)
    assert reward["env_steps"] == checkpoint["env_steps"]
    return reward["reward"]["values"], checkpoint["learner"]["values"]


def test_the_reward_of_the_newest_checkpoint_is_kept_beside_it(tmp_path):
    job = config(env_steps=70)
    job["algo"]["_target_"] = "runner.fakes.Recoverer"
    train(job, tmp_path / "parts", [])
    first, learned = values(tmp_path / "parts")
    assert torch.equal(first, learned)
    resume(tmp_path / "parts", 120, ["runner"])
    second, learned = values(tmp_path / "parts")
    assert torch.equal(second, learned) and not torch.equal(first, second)
    train(job | {"env_steps": 120}, tmp_path / "whole", [])
    assert torch.equal(values(tmp_path / "whole")[0], second)


def test_who_recovers_no_reward_leaves_none(tmp_path):
    train(config(env_steps=30), tmp_path, [])
    assert not (tmp_path / "reward.pt").exists()
