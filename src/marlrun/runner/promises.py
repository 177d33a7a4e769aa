"""What environments, policies and learners promise in types.py: their shapes and types, checked."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from marlrun.nets.masks import missing_actions
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

_DECLARED = {
    "alive": "agents_leave",
    "action_mask": "has_action_mask",
    "adjacency": "has_adjacency",
}
"""Fields that a Step has exactly where its Spec says so."""


def check_step(step: object, spec: Spec, num_replicas: int, num_envs: int, where: str) -> None:
    """Raise ContractError unless every field of `step` has its shape and dtype.

    It has masks, who lives and who is near whom exactly where `spec` says so; see `_check_masks`
    and `_check_adjacency`. `where` names what returned it, `MyEnv.step`.
    """
    if not isinstance(step, Step):
        raise ContractError(f"{where} returned {_kind(step)}, expected a Step (types.Step)")
    sizes = _sizes(spec, num_replicas, num_envs)
    for name, (axes, dtype) in _FIELDS.items():
        value: object = getattr(step, name)
        if name in _DECLARED and (value is None) == getattr(spec, _DECLARED[name]):
            spec_says = f"spec.{_DECLARED[name]} is {value is None} (types.Spec)"
            given = "None" if value is None else f"no None, but {_kind(value)}"
            raise ContractError(f"{where}: {name} is {given}, though {spec_says}")
        # The fields that have a default may be None.
        if value is not None or name not in Step._field_defaults:
            _check_tensor(f"{where}: {name}", value, axes, sizes, dtype, "types.Step")
    _check_masks(step, spec, where)
    _check_adjacency(step, spec, where)


def _check_adjacency(step: Step, spec: Spec, where: str) -> None:
    """Raise ContractError unless nearness is mutual, and nobody is near itself."""
    if step.adjacency is None:
        return
    eye = torch.eye(spec.num_agents, dtype=torch.bool, device=step.adjacency.device)
    wrong = (step.adjacency ^ step.adjacency.mT) | (step.adjacency & eye)
    if wrong.any():
        hearer, heard = (spec.agent_names[int(agent)] for agent in wrong.nonzero()[0, 2:])
        problem = "near itself" if hearer == heard else f"near {heard}, or only the other way round"
        raise ContractError(
            f"{where}: adjacency says that {hearer} is {problem}, "
            "expected a symmetric one with a diagonal of False (types.Step)"
        )


def _check_masks(step: Step, spec: Spec, where: str) -> None:
    """Raise ContractError unless all live at a beginning, and who lives may do something."""
    alive = torch.ones_like(step.reward, dtype=torch.bool) if step.alive is None else step.alive
    absent = step.first.unsqueeze(-1) & ~alive
    if absent.any():
        name = _agent(absent, spec)
        raise ContractError(
            f"{where}: {name} does not live where an episode begins, expected all agents (types.Step)"
        )
    if step.action_mask is None:
        return
    goes_on = ~step.terminated.unsqueeze(-1)
    stuck = goes_on & alive & ~_allowed(step.action_mask, spec).any(-1)
    if stuck.any():
        name = _agent(stuck, spec)
        raise ContractError(
            f"{where}: action_mask allows {name} nothing, "
            "expected an action for each agent that lives (types.Step)"
        )


def check_leaving(before: Step, after: Step, spec: Spec, where: str) -> None:
    """Raise ContractError if an agent that had left is back after one action, or is paid for it.

    `where` names what returned `after`, `MyEnv.step`.
    """
    if before.alive is None or after.alive is None:
        return
    returned, paid = after.alive & ~before.alive, (after.reward != 0) & ~before.alive
    if returned.any():
        name = _agent(returned, spec)
        raise ContractError(
            f"{where}: {name} is back, expected that who has left stays away until the episode ends "
            "(types.Step)"
        )
    if paid.any():
        name, reward = _agent(paid, spec), after.reward[paid][0].item()
        raise ContractError(
            f"{where}: reward of {name} is {reward:g}, "
            "expected 0 after the step in which it left (types.Step)"
        )


def check_allowed(action: Tensor, step: Step, spec: Spec) -> None:
    """Raise ContractError if an agent that lives takes an action that `step.action_mask` forbids."""
    if step.action_mask is None:
        return
    forbidden = ~step.action_mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    if step.alive is not None:
        forbidden &= step.alive
    if forbidden.any():
        name, number = _agent(forbidden, spec), int(action[forbidden][0])
        raise ContractError(
            f"policy: action of {name} is {number}, "
            "expected one that action_mask allows (types.Policy)"
        )


def _allowed(action_mask: Tensor, spec: Spec) -> Tensor:
    """Return an action mask without what stands beyond an agent's own actions."""
    missing = missing_actions(spec, action_mask.device)
    return action_mask if missing is None else action_mask & ~missing


def _agent(wrong: Tensor, spec: Spec) -> str:
    """Return the name of the first agent of which something [R, E, N] is wrong."""
    return spec.agent_names[int(wrong.nonzero()[0, 2])]


def check_action(action: object, spec: Spec, num_replicas: int, num_envs: int) -> None:
    """Raise ContractError unless `action` is int64 [R, E, N], each a number of its agent's action."""
    sizes = _sizes(spec, num_replicas, num_envs)
    _check_tensor("policy: action", action, "R, E, N", sizes, torch.int64, "types.Policy")
    actions = cast(Tensor, action)
    counts = torch.tensor(spec.num_actions, device=actions.device)
    wrong = (actions < 0) | (actions >= counts)
    if wrong.any():
        name, number = _agent(wrong, spec), int(actions[wrong][0])
        last = spec.num_actions[spec.agent_names.index(name)] - 1
        raise ContractError(
            f"policy: action of {name} is {number}, expected 0 to {last} (types.Policy)"
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
    check_allowed(action, step, env.spec)
    after = env.step(action)
    check_step(after, *sizes, f"{name}.step")
    check_leaving(step, after, env.spec, f"{name}.step")
    check_step(env.restart(after), *sizes, f"{name}.restart")


def _sizes(spec: Spec, num_replicas: int, num_envs: int) -> dict[str, int | None]:
    """Return the size of every axis; None where types.py leaves it open."""
    return {
        "R": num_replicas,
        "E": num_envs,
        "N": spec.num_agents,
        "O": max(spec.obs_sizes),
        "A": max(spec.num_actions),
        "S": spec.num_states or spec.state_size,
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
