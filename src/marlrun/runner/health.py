"""Nothing is silent: NaN stops the run, and the error says where it stood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from marlrun.config.nested import leaves
from marlrun.types import Seeds


@dataclass(frozen=True)
class Health:
    """Looks for NaN in tensors whose leading axes are replicas and, where it fits, agents."""

    seeds: Seeds
    agent_names: Sequence[str]

    def check_metrics(self, values: Mapping[str, Tensor], when: str) -> None:
        """Raise FloatingPointError if any number is NaN or infinite; `when`: `env step 10`."""
        for tag, tensor in values.items():
            self._refuse(~torch.isfinite(tensor), tag, tensor, when)

    def check_state(self, state: Mapping[str, object], when: str) -> None:
        """Raise FloatingPointError if any tensor of a nested state holds NaN."""
        for path, leaf in leaves(state, into_lists=True):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                self._refuse(torch.isnan(leaf), path, leaf, when)

    def _refuse(self, bad: Tensor, path: str, tensor: Tensor, when: str) -> None:
        """Name tensor, step, replica and agent of the first bad number."""
        if not bad.any():
            return
        index = [int(part) for part in torch.nonzero(bad)[0]]
        what = "NaN" if torch.isnan(tensor[tuple(index)]) else "infinity"
        where = self._where(tensor, index)
        raise FloatingPointError(f"{what} in {path} at {when}{where}")

    def _where(self, tensor: Tensor, index: list[int]) -> str:
        """Read replica and agent off the leading axes: [R, ..], [R, N, ..] or [R * N, ..]."""
        replicas, agents = len(self.seeds), len(self.agent_names)
        sizes = [*tensor.shape, 0, 0]
        if sizes[0] == replicas:
            replica, agent = index[0], index[1] if sizes[1] == agents else None
        elif sizes[0] == replicas * agents:
            replica, agent = divmod(index[0], agents)
        else:
            return ""
        agent_text = "" if agent is None else f", agent {self.agent_names[agent]}"
        return f", replica with seed {self.seeds[replica]}{agent_text}"
