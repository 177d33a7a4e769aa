"""What environments, policies and learners promise in types.py: their shapes and types, checked."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from marlrun.types import Env, Policy, Spec, Step


class ContractError(ValueError):
    """An environment, a policy or a learner returned something else than types.py says."""


_FIELDS: dict[str, tuple[str, torch.dtype | None]] = {
    "first": ("R, E", torch.bool),
    "obs": ("R, E, N, O", torch.float32),
    "reward": ("R, E, N", torch.float32),
    "terminated": ("R, E", torch.bool),
    "truncated": ("R, E", torch.bool),
    "alive": ("R, E, N", torch.bool),
    "action_mask": ("R, E, N, A", torch.bool),
    "state": ("R, E, S", None),
    "adjacency": ("R, E, N, N", torch.bool),
    "task": ("R, E", torch.int64),
}
"""Axes and dtype of each field of a Step; None = any dtype."""


def check_step(step: object, spec: Spec, num_replicas: int, num_envs: int, where: str) -> None:
    """Raise ContractError unless every field of `step` has its shape and dtype.

    `where` names what returned it, `MyEnv.step`.
    """
    if not isinstance(step, Step):
        raise ContractError(f"{where} returned {_kind(step)}, expected a Step (types.Step)")
    sizes = _sizes(spec, num_replicas, num_envs)
    for name, (axes, dtype) in _FIELDS.items():
        value: object = getattr(step, name)
        # The fields that have a default may be None.
        if value is not None or name not in Step._field_defaults:
            _check_tensor(f"{where}: {name}", value, axes, sizes, dtype, "types.Step")


def check_action(action: object, spec: Spec, num_replicas: int, num_envs: int) -> None:
    """Raise ContractError unless `action` is int64 [R, E, N], each a number of its agent's action."""
    sizes = _sizes(spec, num_replicas, num_envs)
    _check_tensor("policy: action", action, "R, E, N", sizes, torch.int64, "types.Policy")
    actions = cast(Tensor, action)
    counts = torch.tensor(spec.num_actions, device=actions.device)
    wrong = (actions < 0) | (actions >= counts)
    if wrong.any():
        agent = int(wrong.nonzero()[0, 2])
        action_seen = int(actions[wrong][0])
        raise ContractError(
            f"policy: action of {spec.agent_names[agent]} is {action_seen}, "
            f"expected 0 to {spec.num_actions[agent] - 1} (types.Policy)"
        )


def check_metrics(metrics: Any, num_replicas: int, num_agents: int) -> None:
    """Raise ContractError unless `metrics` maps tags to tensors [R] or [R, N]."""
    if not isinstance(metrics, dict):
        given = _kind(metrics)
        raise ContractError(f"update returned {given}, expected a dict (types.Metrics)")
    if not metrics:
        return
    allowed = ((num_replicas,), (num_replicas, num_agents))
    for tag, value in cast("dict[str, object]", metrics).items():
        if not isinstance(value, Tensor) or value.shape not in allowed:
            expected = f"[R] = {list(allowed[0])} or [R, N] = {list(allowed[1])}"
            given = _shape(value)
            raise ContractError(f"update: {tag} {given}, expected {expected} (types.Metrics)")


@torch.no_grad()
def check_first_step(env: Env, policy: Policy, num_replicas: int) -> None:
    """Begin a game and play one step of it; raise ContractError for a wrong shape or dtype."""
    sizes, name = (env.spec, num_replicas, env.num_envs), type(env).__name__
    step = env.reset()
    check_step(step, *sizes, f"{name}.reset")
    action = policy(step)
    check_action(action, *sizes)
    after = env.step(action)
    check_step(after, *sizes, f"{name}.step")
    check_step(env.restart(after), *sizes, f"{name}.restart")


def _sizes(spec: Spec, num_replicas: int, num_envs: int) -> dict[str, int | None]:
    """Return the size of every axis; None where types.py leaves it open."""
    return {
        "R": num_replicas,
        "E": num_envs,
        "N": spec.num_agents,
        "O": max(spec.obs_sizes),
        "A": max(spec.num_actions),
        "S": spec.num_states,
    }


def _check_tensor(
    name: str,
    value: object,
    axes: str,
    sizes: Mapping[str, int | None],
    dtype: torch.dtype | None,
    source: str,
) -> None:
    expected = [sizes[axis] for axis in axes.split(", ")]
    shape = list(value.shape) if isinstance(value, Tensor) else []
    fits = len(shape) == len(expected) and all(
        expected_size in (None, size) for size, expected_size in zip(shape, expected, strict=True)
    )
    if not isinstance(value, Tensor) or not fits:
        numbers = ", ".join("any" if size is None else str(size) for size in expected)
        raise ContractError(f"{name} {_shape(value)}, expected [{axes}] = [{numbers}] ({source})")
    if dtype is not None and value.dtype != dtype:
        seen_dtype, expected_dtype = (
            str(kind).removeprefix("torch.") for kind in (value.dtype, dtype)
        )
        raise ContractError(f"{name} has dtype {seen_dtype}, expected {expected_dtype} ({source})")


def _shape(value: object) -> str:
    return f"has shape {list(value.shape)}" if isinstance(value, Tensor) else f"is {_kind(value)}"


def _kind(value: Any) -> str:
    """Return what a value is, with its article: `a tuple`, `None`."""
    return "None" if value is None else f"a {type(value).__name__}"
