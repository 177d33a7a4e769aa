"""Matrices by which agents never agree, though their graph is connected: refused where they talk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from graphs.graphs_at_hand import NAMES, dense, network, node
from graphs.test_graph_files import written
from graphs.test_graph_runs import job

from marlrun.config.nested import nested
from marlrun.config.schema import declared
from marlrun.graphs.measures import measure
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.train import train
from marlrun.system.reading import InputFile

CYCLE = np.roll(np.eye(4), 1, 0)
RING = (CYCLE + CYCLE.T) / 2
PENTAGON = (np.roll(np.eye(5), 1, 0) + np.roll(np.eye(5), -1, 0)) / 2
STAR = np.array([[0, 1 / 3, 1 / 3, 1 / 3], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
NEVER = (
    "graph.file=c.npy: the agents only exchange what they have and never agree, rho is 1; "
    "expected weights that mix, such as some on the diagonal"
)


def defaults(kind, name):
    rules = declared(f"{kind}/{name}", kind).rules.items()
    return nested({key: rule.default for key, rule in rules})[kind]


def from_file(matrix):
    file = written("c.npy", matrix)
    return network("from_file", len(matrix), [0, 1], file=file, weights="from_file")


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[0, 1], [1, 0]]),
        CYCLE,
        RING,
        STAR,
        (1 - 1e-10) * CYCLE + 1e-10 * np.eye(4),
        np.kron(np.roll(np.eye(3), 1, 0), np.full((2, 2), 0.5)),
    ],
)
def test_a_matrix_that_never_mixes_is_a_problem(here, matrix):
    found = from_file(matrix)
    assert found.problem == NEVER and found.connected
    assert measure(found, 1).spectral_gap == 0


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((1, 1)),
        (np.eye(4) + CYCLE) / 2,
        (np.eye(4) + RING) / 2,
        (1 - 1e-8) * RING + 1e-8 * np.eye(4),
        PENTAGON,
        np.array([[0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]]),
    ],
)
def test_a_matrix_that_mixes_is_none(here, matrix):
    assert from_file(matrix).problem is None


def test_it_is_a_problem_exactly_where_an_eigenvalue_says_so(here):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        size = int(rng.integers(2, 6))
        matrix = (rng.random((size, size)) < 0.35) + np.roll(np.eye(size), 1, 0)
        matrix *= rng.random((size, size)) + 0.1
        matrix /= matrix.sum(1, keepdims=True)
        second = np.sort(np.abs(np.linalg.eigvals(matrix)))[-2]
        found = from_file(matrix)
        assert (found.problem is not None) == (second > 1 - 1e-9), matrix
        seen.add(found.problem is not None)
    assert seen == {True, False}


def test_training_by_it_is_refused_and_talking_to_nobody_is_not(here):
    graph = node("from_file", weights="from_file", file=written("c.npy", np.eye(2)[::-1]))
    with pytest.raises(ValueError) as caught:
        train(job(graph=graph), here / "run", [])
    assert str(caught.value) == NEVER and not (here / "run").exists()
    algo, game = defaults("algo", "networked_ac_q"), defaults("env", "public_goods")
    env = build_env(game | {"num_agents": 2}, [0], torch.device("cpu"), [])
    graph |= {"file": InputFile("c.npy", Path("c.npy").read_bytes())}
    for communication in ("none", "central"):
        silent = algo | {"mixing": algo["mixing"] | {"communication": communication}}
        assert build_learner(silent, env, [0], torch.device("cpu"), [], 1, graph)
    with pytest.raises(ValueError, match="never agree"):
        build_learner(algo, env, [0], torch.device("cpu"), [], 1, graph)


@pytest.mark.parametrize("size", [4, 5])
def test_redrawn_pairs_that_swap_never_agree(here, size):
    pairs = written("pairs.csv", "0,1\n2,3\n")
    keys = {"file": pairs, "weights": "best_constant", "dynamics": "redrawn"}
    with pytest.raises(ValueError) as caught:
        network("from_file", size, [7, 8], **keys)
    assert str(caught.value) == (
        "graph.weights=best_constant: the agents of seed 7 only exchange what they have and never "
        "agree, rho is 1; expected metropolis"
    )
    mixing = network("from_file", size, [7], **keys | {"weights": "metropolis"})
    assert measure(mixing, 200).rho < 0.9


RULES = [
    "metropolis",
    "lazy_metropolis",
    "max_degree",
    "best_constant",
    "sinkhorn_laplacian",
    "uniform_row",
    "push_sum",
]


@pytest.mark.parametrize("rule", RULES)
def test_graphs_with_weights_by_a_rule_mix_in_a_period(rule):
    """So only matrices from files need the check."""
    count = 0
    for name in set(NAMES) - {"none"}:
        keys = {"k_regular": {"k": 2}, "watts_strogatz": {"k": 2}, "barabasi_albert": {"m": 1}}
        for size in (2, 4, 8):
            for among in (None, ["none"], ["path", "none"], ["star", "ring"]):
                dynamics = "static" if among is None else "switching"
                changes = {"weights": rule, "dynamics": dynamics, "among": among}
                try:
                    found = network(name, size, **keys.get(name, {}) | changes)
                except ValueError:
                    continue
                if found.problem is None:
                    product = torch.eye(size, dtype=torch.float64)
                    for _ in range(found.period):
                        product = dense(found.draw())[0].double() @ product
                    assert torch.linalg.eigvals(product).abs().sort().values[-2] < 0.98
                    count += 1
    assert count > 20
