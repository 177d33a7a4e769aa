"""The lowest and the highest observations of a game, where it declares them."""

from typing import Any, cast

import torch
from torch import Tensor

from marlrun.nets.masks import masked, missing_features
from marlrun.types import Bound, Env

_CPU = torch.device("cpu")


def declared_bounds(env: Env) -> tuple[Bound, Bound] | None:
    """Return the `obs_bounds` of a game as its class gives them; None where there are none."""
    return cast(Any, getattr(env, "obs_bounds", None))


def observation_bounds(env: Env) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest observations, float32 [N, O] on the CPU.

    They are infinite where the game declares none, and in the padding.
    """
    low, high = declared_bounds(env) or (-torch.inf, torch.inf)
    return _full(env, low, -torch.inf), _full(env, high, torch.inf)


def _full(env: Env, bound: Bound, padding: float) -> Tensor:
    shape = env.spec.num_agents, max(env.spec.obs_sizes)
    full = torch.as_tensor(bound, dtype=torch.float32, device=_CPU).expand(shape)
    return masked(full, missing_features(env.spec, _CPU), padding)
