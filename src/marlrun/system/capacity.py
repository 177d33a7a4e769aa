"""How much memory there is, and refusals of what cannot fit into it, before work starts."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

from marlrun.types import Spec

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container or a batch system says how much memory its processes may take (Linux)."""


def check(needed: int, device: torch.device, keys: str) -> None:
    """Raise ValueError, which names `keys`, if `needed` bytes are more than the memory there is.

    What is needed is an estimate of the largest tensors, so what passes may still be too much
    beside other programs. Swap does not count: training in it takes for ever.
    """
    there = memory(device)
    if needed > there:
        raise ValueError(
            f"{keys}: this takes about {_gigabytes(needed)} of memory, "
            f"this machine has {_gigabytes(there)}"
        )


def check_steps(spec: Spec, replicas: int, num_envs: int, device: torch.device) -> None:
    """Raise ValueError if the memory cannot hold the steps of so many copies of an environment."""
    keys = f"env.num_envs={num_envs} replicas={replicas}"
    check(of_steps(spec, replicas, num_envs), device, keys)


def is_short(error: BaseException) -> bool:
    """Say whether an error means that no memory was left: of Python's, of a GPU, of PyTorch's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def memory(device: torch.device) -> int:
    """Return the bytes of memory of a GPU, or those that this process may take of the machine's."""
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
    """Return the bytes that an environment's steps take in so many copies a replica, about.

    Two steps at a time are held, each with its observations. Where all agents see one state, that
    is kept once.
    """
    seen = spec.num_states or spec.num_agents * max(spec.obs_sizes)
    return replicas * copies * (_PER_NUMBER * seen + _PER_AGENT * spec.num_agents)


_PER_NUMBER = 16
"""Bytes for a number of an observation: before and after a step, and what it is computed from."""

_PER_AGENT = 64
"""Bytes for an agent's action, reward, return and random numbers."""


def _gigabytes(size: int) -> str:
    """Write bytes with two digits or more."""
    number = size / 1e9
    return f"{number:,.0f} GB" if number >= 10 else f"{number:.2g} GB"
