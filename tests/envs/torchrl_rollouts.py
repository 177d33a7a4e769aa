"""A program: every game of ours in TorchRL's wrapper, and what it plays there beside the game itself.

A process of its own, because importing torchrl changes the process (multiprocessing, torch).
"""

import sys

import torch
from envs.games import EXPORTS, make
from torchrl.envs import PettingZooWrapper
from torchrl.envs.utils import check_env_specs

from marlrun.envs.pettingzoo import parallel_env

SEED, STEPS = 5, 30


def compare(name, changes):
    """Play random actions in TorchRL, then the same in the batched game: every number is equal."""
    wrapper = PettingZooWrapper(parallel_env(name, **changes), return_state=True)
    check_env_specs(wrapper)
    wrapper.set_seed(SEED)  # which begins an episode, and rollout the next one
    played = wrapper.rollout(STEPS)
    env = make(name, SEED, **changes)
    env.reset()
    step = env.reset()
    agents = list(env.spec.agent_names)
    groups = [
        (group, [agents.index(agent) for agent in members])
        for group, members in wrapper.group_map.items()
    ]
    assert sorted(i for _, members in groups for i in members) == list(range(len(agents)))
    for turn in played.unbind(0):
        action = torch.zeros(1, 1, len(agents), dtype=torch.int64)
        for group, members in groups:
            assert_sees(turn, step, group, members, env.spec)
            action[0, 0, members] = turn[group, "action"]
        step = env.step(action)
        for group, members in groups:
            after = turn["next"]
            assert_sees(after, step, group, members, env.spec)
            assert torch.equal(after[group, "reward"].squeeze(-1), step.reward[0, 0, members])
            for end in ("terminated", "truncated"):
                assert (after[group, end] == getattr(step, end)).all()
    assert len(played) == STEPS or step.done


def assert_sees(turn, step, group, members, spec):
    """The agents of a group observe what the batched game shows them, and a critic its state."""
    for observation, i in zip(turn[group, "observation"].unbind(0), members, strict=True):
        assert torch.equal(observation, step.obs[0, 0, i, : spec.obs_sizes[i]])
    joint = [step.obs[0, 0, i, :size] for i, size in enumerate(spec.obs_sizes)]
    state = torch.cat(joint) if step.state is None else step.state[0, 0].float()
    assert torch.equal(turn["state"], state)


for name, changes in EXPORTS:
    compare(name, changes)
    sys.stdout.write(" ".join(("equal", name, *changes)) + "\n")
