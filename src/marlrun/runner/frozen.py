"""A reward that another run has recovered, frozen: PPO learns from it, `algo.reward`."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch

from marlrun.nets.recovered import RecoveredReward, recovered_reward
from marlrun.runner.checkpoint import load
from marlrun.runner.elsewhere import differences
from marlrun.runner.shapes import misfit
from marlrun.system.errors import with_type
from marlrun.system.output import say
from marlrun.system.reading import InputFile
from marlrun.types import Spec, StateDict

Node = Mapping[str, Any]


def frozen_reward(
    file: InputFile, spec: Spec, seeds: Sequence[int], device: torch.device
) -> RecoveredReward:
    """Return the reward that a file reward.pt holds, for a game and as many replicas as seeds.

    ValueError, in one line, if the file is damaged, or if its reward is of other agents, sizes or
    numbers of replicas.
    """
    where = f"algo.reward={file.path}"
    state = _reward_state(file, where, device)
    with _expecting_reward(where):
        recovered = recovered_reward(state, device)
    if problem := misfit(recovered.spec, spec, "the reward was recovered with"):
        raise ValueError(f"{where}: {problem}")
    if len(recovered.seeds) != len(seeds):
        count = len(recovered.seeds)
        raise ValueError(
            f"replicas={len(seeds)}: expected {count}, for replica r learns from the reward of "
            f"replica r, and {where} has {count}"
        )
    with _expecting_reward(where):
        _try(recovered, spec, device)
    return recovered


def tell_differences(algo: Node, env: Node) -> None:
    """Say on stderr in which keys a game differs from the one in which its reward was recovered.

    `env` says what null stands for, as the file does. Agents that share one policy are told too:
    each is paid by a reward of its own, so the policy is torn between them.
    """
    file = algo.get("reward")
    if not isinstance(file, InputFile):
        return
    if (share := algo.get("share", "none")) != "none":
        say(
            f"marlrun: algo.share={share} algo.reward={file.path}: agents share a policy, and each is "
            "paid by a reward of its own: algo.share=none lets each learn from its own"
        )
    trained = _state(file, torch.device("cpu")).get("env")
    if isinstance(trained, Mapping):
        nodes = cast(Node, trained), env
        before, now = ({"env": {**node, "num_envs": 1}} for node in nodes)
        if texts := differences(before, now, "env").values():
            say(f"marlrun: algo.reward={file.path}: elsewhere: {', '.join(texts)}")


def _reward_state(file: InputFile, where: str, device: torch.device) -> StateDict:
    state = _state(file, device)
    if "reward" not in state:
        raise ValueError(f"{where}: is a checkpoint, expected a run directory or its reward.pt")
    return state["reward"]


def _try(recovered: RecoveredReward, spec: Spec, device: torch.device) -> None:
    """Raise an exception unless a reward takes what the agents of a game see and do."""
    shape = len(recovered.seeds), 1, spec.num_agents
    obs = torch.zeros(*shape, max(spec.obs_sizes), device=device)
    reward = recovered(obs, torch.zeros(shape, dtype=torch.int64, device=device))
    if not reward.isfinite().all():
        raise ValueError("it pays nan or inf")


@contextmanager
def _expecting_reward(where: str) -> Generator[None]:
    """Make whatever is raised a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{where}: expected a recovered reward: {with_type(error)}") from error


def _state(file: InputFile, device: torch.device) -> StateDict:
    try:
        return load(file, device)
    except ValueError as error:
        raise ValueError(f"algo.reward={error}") from error
