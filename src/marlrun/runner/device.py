"""Where and how exactly PyTorch computes."""

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch


def choose(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; ValueError if there is no such GPU."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device=cuda: PyTorch finds no GPU here, expected auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def describe(device: torch.device) -> str:
    """Return the device's name for the record."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type


def keep_memory() -> None:
    """Let glibc keep freed blocks: an update would hand megabytes back and fault them in again."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(mmap_threshold, 1 << 25)
        libc.mallopt(trim_threshold, 1 << 29)


def set_up(threads: int) -> None:
    """Set threads, deterministic algorithms, full float32 and the allocator, process-wide."""
    keep_memory()
    # Weights of units that are dead decay towards 0, and moments of Adam with them. Products of numbers
    # below 1e-38 take a hundred times as long, and mean nothing: they count as 0. Threads of PyTorch
    # that begin later inherit it.
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # The same as use_deterministic_algorithms(True), which imports the compiler: seconds.
    torch.set_deterministic_debug_mode("error")
    # Filling every new tensor with NaN costs time; nothing here reads memory it has not written.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def settings_kept() -> Generator[None]:
    """Within the context `set_up` may be called; afterwards PyTorch computes as it did before.

    The allocator alone stays as `set_up` leaves it.
    """
    deterministic: Any = torch.utils.deterministic
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = deterministic.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    flushes = _flushes_denormals()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = fills
        torch.backends.cudnn.benchmark = benchmark
        torch.set_flush_denormal(flushes)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


def _flushes_denormals() -> bool:
    """Say whether the numbers below 1e-38 count as 0, which PyTorch does not tell."""
    return not (torch.full((1,), 1e-30) * 1e-9).item()
