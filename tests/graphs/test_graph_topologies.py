"""Topologies: their links, what they refuse, and what breaks the assumptions."""

import inspect
from collections import Counter
from pathlib import Path

import pytest
from graphs.graphs_at_hand import NAMES, network, node

from marlrun.graphs import topologies
from marlrun.graphs.assumptions import Rules

DEGREES = {
    "none": {0: 16},
    "complete": {15: 16},
    "ring": {2: 16},
    "path": {1: 2, 2: 14},
    "star": {1: 15, 15: 1},
    "grid": {2: 4, 3: 8, 4: 4},
    "torus": {4: 16},
    "hypercube": {4: 16},
    "directed_ring": {1: 16},
    "k_regular": {4: 16},
}


def degrees(name: str, size: int = 16, **keys: object) -> Counter[int]:
    matrix = network(name, size, **keys).draw().matrix[0]
    return Counter(((matrix > 0).sum(-1) - 1).tolist())


@pytest.mark.parametrize("name", DEGREES)
def test_who_hears_how_many(name):
    assert degrees(name) == DEGREES[name]


def test_parameters_count():
    assert degrees("k_regular", k=6) == {6: 16}
    assert degrees("k_regular", k=13) == {13: 16}
    assert degrees("watts_strogatz", probability=0.0, k=6) == {6: 16}
    assert degrees("grid", shape=[1, 16]) == degrees("path")
    assert degrees("torus", 6, shape=[2, 3]) == {3: 6}
    assert sum(count * times for count, times in degrees("barabasi_albert", m=3).items()) == 78
    assert degrees("geometric", radius=1.5) == {15: 16}
    # Ratio 1/4 of 120 pairs, both directions counted.
    keys = {"dynamics": "static", "ratio": 0.25}
    assert sum(count * times for count, times in degrees("erdos_renyi", **keys).items()) == 60


def test_the_torus_is_as_square_as_can_be():
    matrix = network("torus", 20).draw().matrix[0]
    assert matrix[0].nonzero().flatten().tolist() == [0, 1, 4, 5, 15]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(
    "name", ["complete", "ring", "path", "star", "grid", "torus", "erdos_renyi"]
)
def test_few_agents(name, size):
    found = network(name, size)
    matrix = found.draw().matrix[0]
    assert found.connected
    assert (matrix > 0).sum() == size**2 or size == 3


def test_directed_rings_hear_the_one_before():
    found = network("directed_ring", 5)
    matrix = found.draw().matrix[0]
    assert [row.nonzero().flatten().tolist() for row in matrix[1:]] == [
        [0, 1],
        [1, 2],
        [2, 3],
        [3, 4],
    ]
    assert found.is_push_sum and found.is_directed and found.connected


@pytest.mark.parametrize("name", [*NAMES, "from_file", "positions"])
def test_the_yaml_is_the_signature(name):
    parameters = inspect.signature(getattr(topologies, name)).parameters
    own = set(parameters) - {"num_agents", "seeds", "device", "rules"}
    assert node(name).keys() == {"_target_", *own, *Rules.__annotations__}


REFUSED = [
    ("k_regular", 5, {"k": 3}, "graph.k=3: expected fewer than the 5 agents, k times agents even"),
    ("k_regular", 4, {"k": 4}, "graph.k=4: expected fewer than the 4"),
    ("k_regular", 20_000, {"k": 9999}, r"graph.k=9999: 1e\+08 links are too many to list"),
    ("watts_strogatz", 200_000, {"k": 100_000}, r"graph.k=100000: 1e\+10 links are too many"),
    ("barabasi_albert", 200_000, {"m": 100_000}, r"graph.m=100000: 1e\+10 links are too many"),
    (
        "ring",
        200_000,
        {"dynamics": "switching", "among": ["path", "complete"]},
        r"graph.among=\['path', 'complete'\]: 2e\+10 links are too many to list",
    ),
    (
        "ring",
        10_000,
        {"dynamics": "switching", "among": ["ring"] * 1000},
        r"graph.among=\['ring', .*\]: 2e\+07 links are too many to list",
    ),
    (
        "ring",
        4000,
        {"dynamics": "switching", "among": ["path"] * 9, "weights": "best_constant"},
        "graph.weights=best_constant: 10 dense matrices of 4000 x 4000 do not fit into memory",
    ),
    (
        "ring",
        7,
        {"dynamics": "switching", "among": ["grid"]},
        r"graph.among=\['grid'\]: 7 agents are prime, expected another number",
    ),
    (
        "ring",
        7,
        {"dynamics": "switching", "among": ["hypercube"]},
        r"graph.among=\['hypercube'\]: expected a power of 2 agents, there are 7",
    ),
    (
        "ring",
        7,
        {"dynamics": "switching", "among": []},
        r"graph.among=\[\]: expected a value with graph.dynamics=switching",
    ),
    ("watts_strogatz", 9, {"k": 3}, "graph.k=3: expected an even number"),
    ("barabasi_albert", 2, {}, "graph.m=2: expected fewer than the 2"),
    ("hypercube", 12, {}, "graph=hypercube: expected a power of 2 agents, there are 12"),
    ("torus", 13, {}, "graph.shape=null: 13 agents are prime"),
    ("grid", 20, {"shape": [3, 5]}, r"graph.shape=\[3, 5\]: expected rows and columns for the 20"),
    ("erdos_renyi", 9, {"ratio": 0.1, "probability": 0.1}, "graph.probability=0.1: expected null"),
    ("erdos_renyi", 9, {"ratio": 0.01}, "graph.ratio=0.01: expected at least one of 36 pairs"),
    ("erdos_renyi", 9, {"directed": True}, "graph.weights=metropolis: expected push_sum"),
    ("directed_ring", 9, {"weights": "metropolis"}, "graph.weights=metropolis: expected push_sum"),
    ("directed_ring", 9, {"dynamics": "gossip"}, "graph.dynamics=gossip: expected a graph that is"),
    ("none", 9, {"dynamics": "gossip"}, "graph.dynamics=gossip: the graph of seed 0 has no link"),
    ("ring", 9, {"every": 2}, "graph.every=2: expected 1 with graph.dynamics=static"),
    ("ring", 9, {"failure": 0.5}, "graph.failure=0.5: expected graph.dynamics=link_failure"),
    ("ring", 9, {"dynamics": "link_failure"}, "graph.failure missing"),
    ("ring", 9, {"dynamics": "switching"}, "graph.among missing"),
    ("ring", 9, {"dynamics": "switching"}, "graph.among missing"),
    ("ring", 9, {"among": ["star"]}, r"graph.among=\['star'\]: expected graph.dynamics=switching"),
    ("ring", 9, {"file": "x.npy"}, "graph.file=x.npy: expected null"),
    ("star", 9, {"weights": "best_constant"}, r"graph.weights=best_constant: negative \(-0.6"),
    (
        "ring",
        9,
        {"weights": "best_constant", "dynamics": "gossip"},
        "graph.dynamics=gossip: expected static with graph.weights=best_constant",
    ),
    ("erdos_renyi", 9, {"weights": "best_constant"}, "graph.weights=best_constant: expected weig"),
    ("complete", 100_000, {}, r"graph=complete: 5e\+09 links are too many to list"),
    ("erdos_renyi", 100_000, {}, "graph.dynamics=redrawn: 1 dense matrices of 100000 x 100000"),
    ("geometric", 100_000, {}, "graph.radius=0.5: .* links are too many"),
    ("ring", 50_000, {"dynamics": "gossip"}, "graph.dynamics=gossip: 1 dense matrices"),
    ("ring", 50_000, {"weights": "sinkhorn_laplacian"}, "graph.weights=sinkhorn_laplacian: 1 den"),
    ("from_file", 3, {"file": None}, "graph.file=null: expected a file"),
    ("ring", 3, {"weights": "from_file"}, "graph.file missing: expected"),
]


@pytest.mark.parametrize(("name", "size", "keys", "expected"), REFUSED)
def test_what_does_not_fit_is_named_in_one_line(name, size, keys, expected):
    with pytest.raises(ValueError, match=f"^{expected}[^\n]*$"):
        network(name, size, **keys)


PROBLEMS = [
    ("ring", {}, None),
    ("none", {}, None),
    ("erdos_renyi", {}, None),
    ("k_regular", {"k": 1}, "seed 0, 1, 2, .. is disconnected"),
    ("k_regular", {"k": 1, "dynamics": "redrawn"}, None),
    ("erdos_renyi", {"ratio": 0.05, "dynamics": "link_failure", "failure": 0.1}, "disconnected"),
    ("geometric", {"radius": 0.01}, "disconnected"),
    ("geometric", {"radius": 0.01, "dynamics": "redrawn"}, None),
    ("k_regular", {"k": 1, "dynamics": "switching", "among": ["path"]}, None),
]


@pytest.mark.parametrize(("name", "keys", "expected"), PROBLEMS)
def test_a_mean_graph_that_is_disconnected_is_a_problem(name, keys, expected):
    found = network(name, 12, range(5), **keys)
    if expected is None:
        assert found.problem is None and found.connected == (name != "none")
    else:
        assert expected.split()[-1] in found.problem and not found.connected
        assert "\n" not in found.problem


def test_the_seeds_of_disconnected_graphs_are_named():
    found = network("k_regular", 12, range(5, 10), k=1)
    assert "with seed 5, 6, 7, ..," in found.problem


@pytest.mark.parametrize(
    ("name", "keys", "is_biased"),
    [
        ("star", {}, True),
        ("ring", {}, False),
        ("star", {"dynamics": "redrawn"}, False),
        ("star", {"dynamics": "gossip"}, False),
        ("star", {"dynamics": "link_failure", "failure": 0.1}, True),
        ("ring", {"dynamics": "switching", "among": ["path"]}, True),
        ("erdos_renyi", {}, False),
    ],
)
def test_uniform_rows_are_warned_about_where_they_weigh_the_team(name, keys, is_biased):
    found = network(name, 12, weights="uniform_row", **keys)
    assert (found.warning is not None) == is_biased
    if is_biased:
        assert "graph.weights=uniform_row: not column-stochastic" in found.warning
        assert network(name, 12, **keys).warning is None


def test_a_hypercube_of_one_agent_is_alone():
    assert network("hypercube", 1).draw().matrix.tolist() == [[[1.0]]]


def test_yamls_are_all_here():
    files = Path(__file__).parents[2].glob("conf/graph/*.yaml")
    assert {path.stem for path in files} == {*NAMES, "from_file", "positions"}
