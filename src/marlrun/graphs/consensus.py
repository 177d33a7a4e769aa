"""Adapt, then combine: the agents' parameters move, are sent to neighbours, and are mixed.

Shapes: R replicas, N agents, K parameters of an agent.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from marlrun.types import StateDict

Aggregate = Literal["mean", "trim", "clip", "nearest"]
Fault = Literal["refuse", "oppose"]
Robust = Callable[[Tensor, Tensor, int], Tensor]
"""(matrix [R, N, N], what is sent [R, N, K], how many to mistrust) -> [R, N, K]."""
_ROUNDS = 32
"""To look at of a graph that changes, before anyone relies on its neighbourhoods."""


class Mixing(Protocol):
    """One round's consensus matrices (marlrun.graphs.network)."""

    is_sparse: bool

    @property
    def matrix(self) -> Tensor:
        """[R, N, N]; where it is dense."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Return sum_j C(i, j) x_j: [R, N, K]."""
        ...


class Graph(Protocol):
    """A communication graph per replica (marlrun.graphs.network)."""

    num_agents: int
    is_push_sum: bool
    is_static: bool

    def draw(self) -> Mixing:
        """Return the next round's matrices."""
        ...

    def state_dict(self) -> StateDict:
        """Return all that decides the next round."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        ...


class Consensus:
    """Mixes what all agents have after a TD step, at once: never one agent after another.

    On a directed graph (push-sum; Nedic & Olshevsky 2015; 1907.03053 for this use) every agent
    also has a weight y. x = y w is adapted, x and y are mixed by column-stochastic matrices, and
    w = x / y.
    """

    def __init__(
        self,
        graph: Graph,
        num_replicas: int,
        device: torch.device,
        *,
        increments: bool,
        rounds: int,
        interval: int,
        aggregate: Aggregate,
        robust: Robust | None,
        tolerate: int,
        faulty_agents: Sequence[int],
        fault: Fault,
    ):
        """Take what the algorithm's YAML explains; ValueError where it does not fit the graph.

        `robust` is what `aggregate` names, None = the mean. With 0 `rounds` nobody communicates.
        """
        if rounds:
            _check(graph, increments, aggregate, tolerate, faulty_agents)
        elif aggregate != "mean" or faulty_agents:
            raise ValueError(
                f"algo.aggregate={aggregate} algo.faulty_agents={list(faulty_agents)}: expected mean "
                "and [] where algo.communication is not graph"
            )
        self._increments = increments
        self._graph, self._rounds, self._interval = graph, rounds, interval
        self._robust, self._tolerate = robust, tolerate
        self._faulty: Tensor | None = None
        self._opposes = fault == "oppose"
        if faulty_agents:
            self._faulty = torch.zeros(graph.num_agents, 1, dtype=torch.bool, device=device)
            self._faulty[list(faulty_agents)] = True
        self.weights: Tensor | None = None
        """y [R, N, 1] on a directed graph."""
        if graph.is_push_sum:
            self.weights = torch.ones(num_replicas, graph.num_agents, 1, device=device)

    def learned_from(self, reward: Tensor) -> Tensor:
        """Return the rewards [R, E, N] agents learn from: minus theirs where they oppose the rest."""
        if self._faulty is None or not self._opposes:
            return reward
        return torch.where(self._faulty.squeeze(-1), -reward, reward)

    def moved(self, w: Tensor) -> Tensor:
        """Return where to add w's steps: w itself; or, with increments or push-sum, zeros beside it."""
        return torch.zeros_like(w) if self._increments or self.weights is not None else w

    def __call__(self, time: int, *adapted: tuple[Tensor, Tensor]) -> None:
        """Replace each w of pairs (w, step), both [R, N, K], by the mixed w + step.

        A step that is w itself has been taken; others are left at 0.
        With `increments`, a trap in older code: by w + the mixed step, so that critics never agree.
        `time` counts steps from 1; agents communicate at every `interval`-th.
        """
        y = self.weights
        sent = [self._sent(w, step) for w, step in adapted]
        for _ in range(self._rounds if time % self._interval == 0 else 0):
            mixing = self._graph.draw()
            sent = [self._hear(mixing, x) for x in sent]
            y = y if y is None else mixing(y)
        self.weights = y
        for (w, step), x in zip(adapted, sent, strict=True):
            if self._increments:
                w.add_(x)
            elif x is not w:
                w.copy_(x if y is None else x / y)
            if step is not w:
                step.zero_()

    def _sent(self, w: Tensor, step: Tensor) -> Tensor:
        if self._increments or step is w:
            return step
        return w.add_(step) if self.weights is None else (w * self.weights).add_(step)

    def _hear(self, mixing: Mixing, x: Tensor) -> Tensor:
        if self._robust is None:
            heard = mixing(x)
        else:
            heard = self._robust(mixing.matrix, x, self._tolerate)
        return heard if self._faulty is None else torch.where(self._faulty, x, heard)

    def state_dict(self) -> StateDict:
        """Return the graph's state and the weights of push-sum."""
        return {"graph": self._graph.state_dict(), "weights": self.weights}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._graph.load_state_dict(state["graph"])
        self.weights = state["weights"]


def _check(
    graph: Graph,
    increments: bool,
    aggregate: Aggregate,
    tolerate: int,
    faulty_agents: Sequence[int],
) -> None:
    others = graph.num_agents - 1
    chosen = set(faulty_agents)
    if len(chosen) < len(faulty_agents) or not chosen < set(range(others + 1)):
        raise ValueError(
            f"algo.faulty_agents={list(faulty_agents)}: expected agents from 0 to {others}, "
            "each once, and not all"
        )
    if graph.is_push_sum and (aggregate != "mean" or faulty_agents):
        raise ValueError(
            f"algo.aggregate={aggregate} algo.faulty_agents={list(faulty_agents)}: expected mean and "
            "[] on a directed graph, whose weights must not get lost"
        )
    if graph.is_push_sum and increments:
        raise ValueError("algo.mixed=increments: expected critic on a directed graph")
    if aggregate != "mean":
        _check_neighbours(graph, aggregate, tolerate)


def _check_neighbours(graph: Graph, aggregate: str, tolerate: int) -> None:
    """Refuse where whoever is mistrusted is all there is.

    2 H + 1 neighbours are necessary to tolerate H, not sufficient: that is (2 H + 1)-robustness
    (LeBlanc et al. 2013).
    """
    rounds = _look_ahead(graph)
    if rounds[0].is_sparse:
        raise ValueError(
            f"algo.aggregate={aggregate}: expected mean with so many agents: their graph is sparse"
        )
    heard = torch.stack([(mixing.matrix > 0).sum(-1) for mixing in rounds]) - 1
    fewest, most = int(heard.min()), int(heard.max())
    if graph.is_static and fewest <= 2 * tolerate > 0:
        raise ValueError(
            f"algo.tolerate={tolerate}: expected less than half of the {fewest} neighbours that an "
            f"agent of this graph has, or algo.aggregate={aggregate} leaves too few"
        )
    if most <= tolerate > 0:
        raise ValueError(
            f"algo.tolerate={tolerate}: expected less than the {most} neighbours that an agent hears "
            f"at most in a round of this graph, or algo.aggregate={aggregate} leaves none"
        )


def _look_ahead(graph: Graph) -> list[Mixing]:
    """Return some rounds, and take them back."""
    state = graph.state_dict()
    rounds = [graph.draw() for _ in range(1 if graph.is_static else _ROUNDS)]
    graph.load_state_dict(state)
    return rounds
