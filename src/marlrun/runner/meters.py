"""Sums kept on the device between two rows of the log, without ever waiting for it."""

import time
from typing import cast

import torch
from torch import Tensor

from marlrun.config.unit import Unit
from marlrun.types import Metrics, Spec, StateDict, Step


def floats(values: Tensor) -> list[float]:
    """Return [R], or the mean over agents of [R, N], as numbers."""
    per_seed = values if values.ndim == 1 else values.double().mean(1)
    return cast("list[float]", per_seed.tolist())


_TOTALS = "data/"
"""How the tags of totals begin, such as the environment steps that the data has cost."""


class Meters:
    """Means of a learner's metrics since the last row; of a total its newest value."""

    def __init__(self) -> None:
        self._sums: Metrics = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Metrics) -> None:
        """Take in the metrics of one update, each [R] or [R, N]."""
        for tag, value in metrics.items():
            if tag in self._sums and not tag.startswith(_TOTALS):
                self._sums[tag].add_(value)
                self._counts[tag] += 1
            else:
                # A total of more than 2^24 would be rounded by 32 bits.
                wide = torch.float64 if tag.startswith(_TOTALS) else torch.float32
                self._sums[tag] = value.detach().to(wide, copy=True)
                self._counts[tag] = 1

    def take(self) -> Metrics:
        """Return means and totals, [R] or [R, N] as they came, and begin anew."""
        means = {tag: total / self._counts[tag] for tag, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> StateDict:
        """Return what a checkpoint holds."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


class Returns:
    """Returns of the training episodes, or windows, that ended since the last row."""

    def __init__(self, num_replicas: int, num_envs: int, spec: Spec, device: torch.device):
        """Take the discount, and what a reward counts, from `spec`."""
        shape, each = (num_replicas, num_envs, spec.num_agents), (num_replicas, num_envs, 1)
        self._running = torch.zeros(shape, device=device)
        self._first_weight = spec.reward_weight
        self._weight = torch.full(each, self._first_weight, device=device)
        self._finished = torch.zeros(shape, device=device)
        self._episodes = torch.zeros(each, dtype=torch.int64, device=device)
        # A tensor is cheaper to multiply by than a number.
        self._discount = torch.tensor(spec.discount)

    def add(self, after: Step) -> None:
        """Take in the rewards [R, E, N] of one tick."""
        self._running.addcmul_(self._weight, after.reward)
        self._weight.mul_(self._discount)
        done = after.done
        # On a CPU a check costs less than the operations that it saves; on a GPU it would wait.
        if done.is_cpu and not done.any():
            return
        done = done.unsqueeze(-1)
        self._finished.addcmul_(self._running, done)
        self._episodes.add_(done)
        self._running.masked_fill_(done, 0.0)
        self._weight.masked_fill_(done, self._first_weight)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return mean returns [R, N] (0 without an episode) and episodes [R]; begin anew."""
        counts = self._episodes.sum((1, 2))
        means = self._finished.sum(1) / counts.clamp(min=1)[:, None]
        self._finished.zero_()
        self._episodes.zero_()
        return means, counts

    def forget_unfinished(self) -> None:
        """Leave out the episodes that have begun and not ended."""
        self._running.zero_()
        self._weight.fill_(self._first_weight)

    def state_dict(self) -> StateDict:
        """Return what a checkpoint holds."""
        return {name: getattr(self, name) for name in _RETURNS}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        for name in _RETURNS:
            getattr(self, name).copy_(state[name])


_RETURNS = ("_running", "_weight", "_finished", "_episodes")


class Clock:
    """Seconds that a run has been working, over all its resumes."""

    def __init__(self, seconds: float | None = 0.0):
        """Start from `seconds`; None means that the time before is not known."""
        self._before, self._since = seconds, 0.0

    def start(self) -> None:
        """Begin to count, or go on."""
        self._since = time.perf_counter()

    def read(self) -> float | None:
        """Return the seconds so far, to the millisecond."""
        if self._before is None:
            return None
        return round(self._before + time.perf_counter() - self._since, 3)


class Speed:
    """Steps and updates per second of training alone, summed over replicas.

    An update is a tick at which the learner learned, by however many minibatches; of an offline
    learner it is the only speed.
    """

    def __init__(self, count: int, num_replicas: int, unit: Unit = "env_steps"):
        self.updates = 0
        self._num_replicas, self._since, self._unit = num_replicas, count, unit
        self._started = self._seconds = 0.0

    def start(self) -> None:
        """Count time from here on: training goes on."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Count no time while the run logs, evaluates or saves."""
        self._seconds += time.perf_counter() - self._started

    def take(self, count: int) -> dict[str, float]:
        """Return the speed since the last call, and begin anew."""
        rate = self._num_replicas / max(self._seconds, 1e-9)
        counted, updates = count - self._since, self.updates
        self._since, self._seconds, self.updates = count, 0.0, 0
        return {f"perf/{self._unit}_per_s": counted * rate, "perf/updates_per_s": updates * rate}
