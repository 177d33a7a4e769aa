"""Adapt, then combine: the agents' parameters move, are sent to neighbours, and are mixed.

Shapes: R replicas, N agents, K parameters of an agent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from marlrun.ops.consensus import ROBUST
from marlrun.types import Metrics, StateDict

_ROUNDS = 32
"""Rounds of a graph that changes which are drawn to learn how many neighbours agents have."""


@dataclass(frozen=True)
class MixingSettings:
    """The node `mixing` of an algorithm's YAML, where each key is explained."""

    communication: Literal["graph", "central", "none"]
    message: Literal["critic", "increments", "both", "reward"]
    rounds: int
    interval: int
    aggregate: Literal["mean", "trim", "clip", "nearest"]
    tolerate: int
    faulty_agents: Sequence[int]
    fault: Literal["refuse", "oppose"]


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

    def draw(self, adjacency: Tensor | None = None) -> Mixing:
        """Return the next round's matrices; `adjacency` [R, N, N] bool: who is near whom now."""
        ...

    def metrics(self) -> Metrics:
        """Return what there is to log of the rounds since the last call: tensors [R]."""
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
        self, graph: Graph, num_replicas: int, device: torch.device, settings: MixingSettings
    ):
        """Raise ValueError where the settings do not fit the graph."""
        _check(graph, settings)
        self._graph, self._settings = graph, settings
        self._robust = ROBUST[settings.aggregate]
        self._increments = settings.message == "increments"
        self._begun: dict[int, tuple[Tensor, Tensor]] = {}
        """By the identity of w~: w~ itself, and w."""
        self._faulty: Tensor | None = None
        if settings.faulty_agents:
            self._faulty = torch.zeros(graph.num_agents, 1, dtype=torch.bool, device=device)
            self._faulty[list(settings.faulty_agents)] = True
        self.weights: Tensor | None = None
        """y [R, N, 1] on a directed graph."""
        if graph.is_push_sum:
            self.weights = torch.ones(num_replicas, graph.num_agents, 1, device=device)

    def reward(self, private: Tensor) -> Tensor:
        """Return the rewards [R, E, N] that agents learn from, given those that they are paid.

        These are the same, but the mean over agents in the central counterpart, and minus the own
        reward of faulty agents that oppose the others.
        """
        if self._settings.communication == "central":
            return private.mean(-1, keepdim=True).expand_as(private)
        if self._faulty is None or self._settings.fault != "oppose":
            return private
        return torch.where(self._faulty.squeeze(-1), -private, private)

    def begin(self, w: Tensor) -> Tensor:
        """Return w~ [R, N, K], which begins at w: add the steps to it in place, then `mix` it.

        After each `mix` it is at w again. Where steps must stay apart from w, with push-sum and
        with increments, it holds the steps alone; elsewhere it is w itself.
        """
        is_apart = self._increments or self.weights is not None
        adapted = torch.zeros_like(w) if is_apart else w
        self._begun[id(adapted)] = adapted, w
        return adapted

    def mix(self, time: int, *adapted: Tensor, adjacency: Tensor | None = None) -> None:
        """Replace each w by sum_j C(i, j) w~_j, where w~ is what `begin` returned of it.

        What `begin` did not return is not sent, and stays as it was adapted.
        `time` counts steps from 1; agents communicate at every `interval`-th. `adjacency`
        [R, 1, N, N] bool says who is near whom then, where the game says so. Increments, a trap in
        older code, replace w by w + sum_j C(i, j) step_j, so that critics never agree.
        """
        pairs = [self._begun[id(x)] for x in adapted if id(x) in self._begun]
        sent = [self._sent(x, w) for x, w in pairs]
        is_time = time % self._settings.interval == 0
        talks = is_time and self._settings.communication == "graph"
        near = None if adjacency is None else adjacency.squeeze(1)
        for _ in range(self._settings.rounds if talks else 0):
            mixing = self._graph.draw(near)
            sent = [self._mix_once(mixing, x) for x in sent]
            self.weights = self.weights if self.weights is None else mixing(self.weights)
        for (step, w), x in zip(pairs, sent, strict=True):
            if self._increments:
                w.add_(x)
            elif x is not w:
                w.copy_(x if self.weights is None else x / self.weights)
            if step is not w:
                step.zero_()

    def _sent(self, adapted: Tensor, w: Tensor) -> Tensor:
        """Return what agents send: w~, its increment, or x = y w~."""
        if self._increments or self.weights is None:
            return adapted
        return (w * self.weights).add_(adapted)

    def _mix_once(self, mixing: Mixing, x: Tensor) -> Tensor:
        if self._robust is None:
            mixed = mixing(x)
        else:
            mixed = self._robust(mixing.matrix, x, self._settings.tolerate)
        return mixed if self._faulty is None else torch.where(self._faulty, x, mixed)

    def metrics(self) -> Metrics:
        """Return what the graph has to log since the last call: tensors [R]."""
        return self._graph.metrics()

    def state_dict(self) -> StateDict:
        """Return the graph's state and the weights of push-sum."""
        return {"graph": self._graph.state_dict(), "weights": self.weights}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._graph.load_state_dict(state["graph"])
        self.weights = state["weights"]


def _check(graph: Graph, settings: MixingSettings) -> None:
    """Raise ValueError where the settings do not fit the graph."""
    aggregate, faulty_agents = settings.aggregate, list(settings.faulty_agents)
    keys = f"algo.mixing.aggregate={aggregate} algo.mixing.faulty_agents={faulty_agents}"
    is_special = aggregate != "mean" or bool(faulty_agents)
    if settings.communication != "graph":
        if is_special:
            where = "where algo.mixing.communication is not graph"
            raise ValueError(f"{keys}: expected mean and [] {where}")
        return
    others = graph.num_agents - 1
    faulty = set(faulty_agents)
    if len(faulty) < len(faulty_agents) or not faulty < set(range(others + 1)):
        raise ValueError(
            f"algo.mixing.faulty_agents={faulty_agents}: expected agents from 0 to {others}, "
            "each once, and not all"
        )
    if graph.is_push_sum and is_special:
        raise ValueError(
            f"{keys}: expected mean and [] on a directed graph, whose weights must not get lost"
        )
    if graph.is_push_sum and settings.message == "increments":
        raise ValueError("algo.mixing.message=increments: expected critic on a directed graph")
    if aggregate != "mean":
        _check_neighbours(graph, aggregate, settings.tolerate)


def _check_neighbours(graph: Graph, aggregate: str, tolerate: int) -> None:
    """Refuse where whoever is mistrusted is all there is.

    2 H + 1 neighbours are necessary to tolerate H, not sufficient: that is (2 H + 1)-robustness
    (LeBlanc et al. 2013).
    """
    rounds = _look_ahead(graph)
    if rounds[0].is_sparse:
        raise ValueError(
            f"algo.mixing.aggregate={aggregate}: expected mean with so many agents: their graph is sparse"
        )
    heard = torch.stack([(mixing.matrix > 0).sum(-1) for mixing in rounds]) - 1
    fewest, most = int(heard.min()), int(heard.max())
    if graph.is_static and fewest <= 2 * tolerate > 0:
        raise ValueError(
            f"algo.mixing.tolerate={tolerate}: expected less than half of the {fewest} neighbours that an "
            f"agent of this graph has, or algo.mixing.aggregate={aggregate} leaves too few"
        )
    if most <= tolerate > 0:
        raise ValueError(
            f"algo.mixing.tolerate={tolerate}: expected less than the {most} neighbours that an agent hears "
            f"at most in a round of this graph, or algo.mixing.aggregate={aggregate} leaves none"
        )


def _look_ahead(graph: Graph) -> list[Mixing]:
    """Return some rounds, and take them back.

    Where positions make the graph, nobody knows them yet: all agents are near each other.
    """
    state, everyone = graph.state_dict(), ~torch.eye(graph.num_agents, dtype=torch.bool)
    rounds = [graph.draw(everyone) for _ in range(1 if graph.is_static else _ROUNDS)]
    graph.load_state_dict(state)
    return rounds
