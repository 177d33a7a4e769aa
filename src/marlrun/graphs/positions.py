"""The graph that the agents' positions make: the game says in every step who is near whom.

Zhang et al. (ICML 2018), neural experiment. Shapes: R replicas, N agents.
"""

import torch
from torch import Tensor

from marlrun.graphs import assumptions, sampling
from marlrun.graphs.assumptions import Rules
from marlrun.graphs.network import Mixing, Network
from marlrun.graphs.weights import consensus
from marlrun.types import Metrics, Seeds, StateDict


class PositionNetwork(Network):
    """A network whose links are those of `Step.adjacency`; with link_failure some of them fail.

    A single round's graph may leave agents alone. What consensus needs is that the links of some
    rounds together connect all agents. So rounds are counted in windows of `window` rounds, one
    behind the other, and `metrics` says in which share of them the union of all graphs is connected.
    """

    needs_adjacency = True

    def __init__(
        self, num_agents: int, seeds: Seeds, device: torch.device, window: int, rules: Rules
    ):
        """Make the network; ValueError, in one line, for rules that do not go together."""
        assumptions.check(rules)
        assumptions.afford(num_agents, seeds, "graph=positions")
        is_biased = rules["weights"] == "uniform_row"
        super().__init__(
            num_agents,
            len(seeds),
            self._mix_held,
            period=None,
            is_push_sum=rules["weights"] == "push_sum",
            warning=assumptions.IRREGULAR if is_biased else None,
        )
        self._weights, self._every, self._window = rules["weights"], rules["every"], window
        self._holds = sampling.random_pairs(
            sampling.stream_of(seeds, device), num_agents, False, None, 1 - (rules["failure"] or 0)
        )
        self._fails = rules["failure"] is not None
        shape = (len(seeds), num_agents, num_agents)
        self._mask = torch.zeros(shape, device=device)
        """[R, N, N]: 1 where agents hear each other in the present round."""
        self._union = torch.zeros(shape, dtype=torch.bool, device=device)
        """[R, N, N]: the links of the present window so far."""
        self._connected: list[Tensor] = []
        """[R] float32: whether the windows that ended since the last metrics were connected."""

    def draw(self, adjacency: Tensor | None = None) -> Mixing:
        """Return the matrices of the next round, among agents that are near each other now.

        `adjacency` [R, N, N] bool is symmetric, its diagonal False. A graph that is held for more
        rounds than one (`graph.every`) is that of the first of them.
        """
        if adjacency is None:
            raise ValueError(
                "graph=positions: expected draw(adjacency), got none from the algorithm"
            )
        number, age = divmod(self.counter, self._every)
        if age == 0:
            self._mask.copy_(adjacency)
            if self._fails:
                self._mask.mul_(self._holds(number, 1)[0])
        mixing = super().draw()
        self._union.logical_or_(self._mask)
        if self.counter % self._window == 0:
            self._connected.append(is_connected(self._union).float())
            self._union.zero_()
        return mixing

    def _mix_held(self, counter: int) -> Mixing:
        return Mixing(consensus(self._mask, self._weights))

    def metrics(self) -> Metrics:
        """Return the share [R] of connected windows among those that ended since the last call."""
        if not self._connected:
            return {}
        share = torch.stack(self._connected).mean(0)
        self._connected = []
        return {"graph/connected_windows": share}

    def state_dict(self) -> StateDict:
        """Return the number of rounds so far, the graph that is held, and the window's links."""
        return super().state_dict() | {"mask": self._mask.clone(), "union": self._union.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned; a run that had another graph begins a window."""
        super().load_state_dict(state)
        self._connected = []
        if "mask" in state:
            self._mask.copy_(state["mask"])
            self._union.copy_(state["union"])


def is_connected(links: Tensor) -> Tensor:
    """Return [R] bool: whether a path leads from every agent to all others; `links` [R, N, N]."""
    num_agents = links.shape[-1]
    reached = links | torch.eye(num_agents, dtype=torch.bool, device=links.device)
    for _ in range((num_agents - 1).bit_length()):
        # Each product doubles how many links a path may have.
        reached = torch.bmm(reached.float(), reached.float()) > 0
    return reached.flatten(1).all(1)
