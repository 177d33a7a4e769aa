"""Sums kept on the device between two rows of the log, without ever waiting for it."""

import time

import torch
from torch import Tensor

from marlrun.types import Metrics, StateDict, Step


class Meters:
    """Means of a learner's metrics since the last row."""

    def __init__(self) -> None:
        self._sums: Metrics = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Metrics) -> None:
        """Take in the metrics of one update, each [R] or [R, N]."""
        for tag, value in metrics.items():
            if tag in self._sums:
                self._sums[tag].add_(value)
                self._counts[tag] += 1
            else:
                self._sums[tag] = value.detach().to(torch.float32, copy=True)
                self._counts[tag] = 1

    def take(self) -> Metrics:
        """Return the means, [R] or [R, N] as they came, and begin anew."""
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
    """Discounted returns of the training episodes that ended since the last row."""

    def __init__(self, num_replicas: int, num_envs: int, num_agents: int, discount: float):
        self._shape, self._discount = (num_replicas, num_envs, num_agents), discount
        self._tensors: list[Tensor] = []

    def add(self, after: Step) -> None:
        """Take in the rewards [R, E, N] of one tick."""
        if not self._tensors:
            self._begin(after.reward.device)
        running, weight, finished, episodes = self._tensors
        done = after.done.unsqueeze(-1)
        running.addcmul_(weight, after.reward)
        finished.addcmul_(running, done)
        episodes.add_(done)
        running.masked_fill_(done, 0.0)
        weight.mul_(self._discount).masked_fill_(done, 1.0)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return mean returns [R, N] (0 without an episode) and episodes [R]; begin anew."""
        if not self._tensors:
            return torch.zeros(self._shape[0], self._shape[2]), torch.zeros(self._shape[0])
        _, _, finished, episodes = self._tensors
        counts = episodes.sum((1, 2))
        means = finished.sum(1) / counts.clamp(min=1)[:, None]
        finished.zero_()
        episodes.zero_()
        return means, counts

    def state_dict(self) -> StateDict:
        """Return what a checkpoint holds."""
        return {"tensors": list(self._tensors)}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._tensors = list(state["tensors"])

    def _begin(self, device: torch.device) -> None:
        each = self._shape[:2] + (1,)
        self._tensors = [
            torch.zeros(self._shape, device=device),
            torch.ones(each, device=device),
            torch.zeros(self._shape, device=device),
            torch.zeros(each, dtype=torch.int64, device=device),
        ]


class Speed:
    """Steps and updates per second of training alone, summed over replicas."""

    def __init__(self, env_steps: int, num_replicas: int):
        self.updates = 0
        self._num_replicas, self._since = num_replicas, env_steps
        self._started = self._seconds = 0.0

    def start(self) -> None:
        """Go on training."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Stop training, to log, evaluate or save."""
        self._seconds += time.perf_counter() - self._started

    def take(self, env_steps: int) -> dict[str, float]:
        """Return the speed since the last call, and begin anew."""
        rate = self._num_replicas / max(self._seconds, 1e-9)
        steps, updates = env_steps - self._since, self.updates
        self._since, self._seconds, self.updates = env_steps, 0.0, 0
        return {"perf/env_steps_per_s": steps * rate, "perf/updates_per_s": updates * rate}
