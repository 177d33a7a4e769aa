"""A small game's demonstrations and settings, for tests of learners from demonstrations."""

import io
from dataclasses import replace

import torch
from algos.test_ppo import SETTINGS as PPO_SETTINGS
from algos.test_ppo import SPEC, steps

from marlrun.algos.imitation.cloning import CloningSettings
from marlrun.algos.imitation.learner import ImitationSettings
from marlrun.data.demonstrations import Episode, write
from marlrun.data.reservoir import ReplaySettings
from marlrun.nets.discriminator import DiscriminatorSettings
from marlrun.system.reading import InputFile

CPU = torch.device("cpu")


def demonstrations(spec=SPEC, *, episodes=6, length=3, seed=0, policy=None) -> InputFile:
    """Return a file of random episodes; `policy` turns observations [T, N, O] into actions [T, N]."""
    generator = torch.Generator().manual_seed(seed)
    shown = []
    for number in range(episodes):
        shape = length + 1, spec.num_agents, max(spec.obs_sizes)
        obs = torch.rand(*shape, generator=generator)
        sizes = torch.tensor(spec.num_actions)
        action = (torch.rand(*shape[:2], generator=generator)[:-1] * sizes).long()
        action = action if policy is None else policy(obs[:-1])
        ends = number % 2 == 0
        shown.append(Episode(obs, action, torch.zeros(action.shape), ends, not ends))
    card = {
        "agents": list(spec.agent_names),
        "obs_sizes": list(spec.obs_sizes),
        "num_actions": list(spec.num_actions),
        "env": {},
    }
    file = io.BytesIO()
    write(file, card, shown)
    return InputFile("shown.npz", file.getvalue())


DISCRIMINATOR = DiscriminatorSettings(
    view="own",
    inputs="state",
    hidden=[8],
    activation="tanh",
    normalise=False,
    steps=3,
    batch=5,
    lr=0.01,
    lr_final=0.001,
    l2=0.01,
)
SETTINGS = ImitationSettings(
    demonstrations=demonstrations(),
    demonstrations_episodes=None,
    constant=-1.0,
    symmetries="none",
    warmup=0,
    discriminator=DISCRIMINATOR,
    replay=ReplaySettings(capacity=40, share=0.6, first_share=0.25),
    cloning=CloningSettings(updates=0, batch=7, lr=0.01),
    ppo=PPO_SETTINGS,
)


def changed(**changes) -> ImitationSettings:
    """Return the settings with other values; `discriminator={..}` changes keys of a node."""
    nodes = {key: getattr(SETTINGS, key) for key in changes}
    values = {
        key: replace(nodes[key], **value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return replace(SETTINGS, **values)


def train(learner, seeds, spec=SPEC, length=17, skip=0):
    """Let a learner take in transitions whose numbers belong to each seed; return its metrics."""
    metrics = []
    for number, transition in enumerate(steps(seeds, spec, length)):
        if number >= skip:
            learner.observe(*transition)
            metrics.append(learner.update())
    return [part for part in metrics if part]


def tensors(state, path="") -> dict[str, torch.Tensor]:
    """Return all tensors of a state by their path."""
    if isinstance(state, torch.Tensor):
        return {path: state}
    parts = dict(enumerate(state)) if isinstance(state, list) else state
    if not isinstance(parts, dict):
        return {}
    inner = [tensors(part, f"{path}/{key}") for key, part in parts.items()]
    return {name: tensor for group in inner for name, tensor in group.items()}
