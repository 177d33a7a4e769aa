"""Teachers: the recurrent Q-networks that a run has learned, without the run.

Shapes: R replicas, N agents, M = R * N members, P parameters of a network.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from marlrun.nets.cells import CELLS
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.nets.stacked import views
from marlrun.types import Spec, StateDict

_FORMAT = 1
_GAME = (
    *("num_agents", "agent_names", "obs_sizes", "num_actions"),
    *("horizon", "discount", "num_states"),
)
"""What is kept of a `Spec`."""
_LAYERS = ("first", "second", "cell", "last")


class Teacher:
    """One network for each replica and agent, and the game that it was trained in."""

    def __init__(self, spec: Spec, net: RecurrentQ, rows: Tensor):
        """Take the networks' parameters, rows [M, P]."""
        self.spec, self.net, self.rows = spec, net, rows
        self.parameters = views(rows, net.shapes)

    @property
    def num_replicas(self) -> int:
        """Return how many replicas of the run teach, R."""
        return len(self.rows) // self.spec.num_agents

    def of_replicas(self, replicas: Sequence[int]) -> "Teacher":
        """Return the teacher of some of the replicas, in this order."""
        rows = self.rows.view(self.num_replicas, self.spec.num_agents, -1)
        return Teacher(self.spec, self.net, rows[list(replicas)].flatten(0, 1))

    def state_dict(self) -> StateDict:
        """Return what `teacher` makes the same of, as tensors and plain values."""
        game = {name: getattr(self.spec, name) for name in _GAME}
        return {"format": _FORMAT, "game": game, "net": _keys_of(self.net), "rows": self.rows}


def teacher(state: StateDict, device: torch.device) -> Teacher:
    """Return the teacher that `Teacher.state_dict` described.

    ValueError if the state is of another format, or not of one finite network for each agent.
    """
    if state.get("format") != _FORMAT:
        raise ValueError(f"expected a teacher of format {_FORMAT}")
    spec, net = Spec(**state["game"]), RecurrentQ(**state["net"], forget_bias=0.0)
    rows: Tensor = state["rows"].to(device)
    width = net.init([0], 1, device).shape[-1]
    if rows.dtype != torch.float32 or rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"expected rows of {width} parameters")
    if len(rows) == 0 or len(rows) % spec.num_agents or not rows.isfinite().all():
        raise ValueError("expected finite parameters of as many networks for each agent")
    return Teacher(spec, net, rows)


def _keys_of(net: RecurrentQ) -> dict[str, Any]:
    """Return the arguments that make a network of the same shape and the same sight."""
    return {
        "obs_size": net.live["first.weight"][0],
        "num_actions": net.num_actions,
        "cell": next(name for name, cell in CELLS.items() if cell is net.cell),
        "sizes": [net.live[f"{layer}.bias"][-1] for layer in _LAYERS],
        "obs_scale": net.obs_scale,
    }
