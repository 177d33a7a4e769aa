"""How much memory there is; what cannot fit into it is refused before work starts."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

from marlrun.types import Spec

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which a container or a batch system limits the memory of its processes (Linux)."""


def check(num_bytes: int, device: torch.device, keys: str) -> None:
    """Raise ValueError, which names `keys`, if the memory holds fewer than `num_bytes`.

    The number is an estimate of the largest tensors, so memory may still run out beside other
    programs. Swap does not count, for training in swap takes too long.
    """
    available = memory(device)
    if num_bytes > available:
        raise ValueError(
            f"{keys}: this takes about {_gigabytes(num_bytes)} of memory, "
            f"this machine has {_gigabytes(available)}"
        )


def check_steps(spec: Spec, replicas: int, num_envs: int, device: torch.device) -> None:
    """Raise ValueError if the memory cannot hold the steps of all copies of an environment."""
    keys = f"env.num_envs={num_envs} replicas={replicas}"
    check(of_steps(spec, replicas, num_envs), device, keys)


def is_short(error: BaseException) -> bool:
    """Say whether an error of Python or PyTorch means that no memory was left, also on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def memory(device: torch.device) -> int:
    """Return how many bytes a GPU has, or how many of the machine this process may take."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    limits = [sys.maxsize]
    with suppress(AttributeError, ValueError, OSError):  # no such call on Windows
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ImportError):  # no such module on Windows
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [] if soft == resource.RLIM_INFINITY else [soft]
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # ValueError: "max", no limit
            limits.append(int(Path(path).read_text("utf-8")))
    return min(limits)


def of_steps(spec: Spec, replicas: int, copies: int) -> int:
    """Return about how many bytes the steps of an environment take, for `copies` of a replica.

    Two steps with their observations exist at a time. A state that all agents see is held once.
    """
    num_features = spec.num_states or spec.num_agents * max(spec.obs_sizes)
    return replicas * copies * (_PER_NUMBER * num_features + _PER_AGENT * spec.num_agents)


_PER_NUMBER = 16
"""Bytes for each number of an observation, before and after a step, and while it is computed."""

_PER_AGENT = 64
"""Bytes for the action, reward, return and random numbers of an agent."""


def _gigabytes(size: int) -> str:
    """Return a number of bytes in GB, with two digits or more."""
    number = size / 1e9
    return f"{number:,.0f} GB" if number >= 10 else f"{number:.2g} GB"
