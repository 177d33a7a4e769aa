"""The spaces of a game of marlrun, as Gymnasium has them."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space

from marlrun.envs.common.bounds import observation_bounds
from marlrun.types import Env, Spec, Step

Spaces = dict[str, Space[Any]]
"""By the agent's name."""


def action_spaces(spec: Spec) -> Spaces:
    """Return the actions of every agent."""
    names_and_numbers = zip(spec.agent_names, spec.num_actions, strict=True)
    return {agent: Discrete(number) for agent, number in names_and_numbers}


def observation_spaces(env: Env) -> dict[str, Box]:
    """Return what every agent may observe: float32 [its own size], within the game's `obs_bounds`."""
    low, high = (bound.numpy() for bound in observation_bounds(env))
    return {
        agent: Box(low[i, :size], high[i, :size], dtype=np.float32)
        for i, (agent, size) in enumerate(
            zip(env.spec.agent_names, env.spec.obs_sizes, strict=True)
        )
    }


def state_space(env: Env, step: Step) -> Box:
    """Return what `Step.state` may be, or the joint observation where `step` has no state.

    A one-hot state (`Spec.num_states`) lies in [0, 1]; of any other nothing is known.
    """
    if step.state is None:
        boxes = observation_spaces(env).values()
        low, high = (
            np.concatenate([getattr(box, end) for box in boxes]) for end in ("low", "high")
        )
        return Box(low, high, dtype=np.float32)
    low, high = (-torch.inf, torch.inf) if env.spec.num_states is None else (0.0, 1.0)
    return Box(low, high, (step.state.shape[-1],), np.float32)
