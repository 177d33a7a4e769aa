"""Rounds of communication: what changes, promises 1 and 2, sparse and dense."""

import pytest
import torch
from graphs.graphs_at_hand import CPU, dense, links, matrices, network, node

from marlrun.graphs import rounds
from marlrun.graphs.assembly import is_sparse
from marlrun.graphs.network import Mixing
from marlrun.graphs.sampling import Failures, mask_of, stream_of
from marlrun.graphs.sparse import Pattern
from marlrun.graphs.weights import LOCAL, consensus
from marlrun.runner.build import build

SEEDS = [5, 9, 2**32 - 1]
CHANGING = {
    "erdos_renyi": ("erdos_renyi", 9, {}),
    "erdos_renyi by probability": ("erdos_renyi", 9, {"probability": 0.3}),
    "directed erdos_renyi": ("erdos_renyi", 9, {"directed": True, "weights": "push_sum"}),
    "erdos_renyi, sinkhorn": ("erdos_renyi", 9, {"weights": "sinkhorn_laplacian"}),
    "geometric": ("geometric", 9, {"dynamics": "redrawn", "every": 3}),
    "path, places drawn": ("path", 9, {"dynamics": "redrawn", "weights": "lazy_metropolis"}),
    "random links fail": ("k_regular", 10, {"dynamics": "link_failure", "failure": 0.4}),
    "random sparse links fail": (
        "barabasi_albert",
        200,
        {"dynamics": "link_failure", "failure": 0.4, "every": 2},
    ),
    "gossip": ("geometric", 9, {"dynamics": "gossip"}),
    "switching": ("watts_strogatz", 16, {"dynamics": "switching", "among": ["star", "torus"]}),
    "static, drawn": ("erdos_renyi", 9, {"dynamics": "static"}),
    "static, sparse, drawn": ("geometric", 200, {"radius": 0.1}),
}


@pytest.mark.parametrize("case", CHANGING)
def test_a_replica_is_bit_equal_alone_and_in_company(case, monkeypatch):
    # Alone and in company, blocks have different lengths: let them be short enough to end.
    monkeypatch.setattr(rounds, "_BLOCK", 2**10)
    name, size, keys = CHANGING[case]
    company = matrices(network(name, size, SEEDS, **keys), 20)
    for replica, seed in enumerate(SEEDS):
        alone = matrices(network(name, size, [seed], **keys), 20)
        assert torch.equal(alone[:, 0], company[:, replica])
    assert not torch.equal(company[:, 0], company[:, 1])


@pytest.mark.parametrize("features", [1, 6, 11])
@pytest.mark.parametrize("size", [5, 20, 21, 50])
def test_mixing_is_bit_equal_alone_and_in_company(size, features):
    # A block as random rounds draw it: its matrices start anywhere in memory.
    drawn = torch.rand(3, 5, size, size, generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, size, features, generator=torch.Generator().manual_seed(1))
    for matrix in drawn:
        expected = Mixing(matrix)(x)
        torch.testing.assert_close(expected, (matrix.double() @ x.double()).float())
        for count in (1, 2, 3, 5):
            for first in range(6 - count):
                some = slice(first, first + count)
                for here in (matrix[some], matrix[some].clone()):
                    assert torch.equal(Mixing(here)(x[some].clone()), expected[some])


@pytest.mark.parametrize("case", CHANGING)
def test_a_resumed_network_goes_on_as_it_would_have(case):
    name, size, keys = CHANGING[case]
    whole = network(name, size, SEEDS, **keys)
    expected = matrices(whole, 30)[17:]
    first = network(name, size, SEEDS, **keys)
    matrices(first, 17)
    state = first.state_dict()
    assert state == {"counter": 17}
    second = network(name, size, SEEDS, **keys)
    second.draw()
    second.load_state_dict(state)
    assert torch.equal(matrices(second, 13), expected)


def test_static_rounds_are_the_same_object():
    found = network("ring", 6, SEEDS)
    assert found.draw() is found.draw() and found.counter == 2


def test_a_redrawn_random_graph_has_its_links_and_every_pair_its_chance():
    # Ratio 4 / N: 2 (N - 1) links of N (N - 1) / 2.
    drawn = matrices(network("erdos_renyi", 8, [1]), 3000)[:, 0]
    mask = (drawn > 0) & ~torch.eye(8, dtype=torch.bool)
    assert (mask.sum((-1, -2)) == 2 * 14).all()
    assert torch.equal(mask, mask.mT)
    often = mask.double().mean(0)[torch.triu(torch.ones(8, 8), 1) > 0]
    assert often.min() > 0.5 - 0.05 and often.max() < 0.5 + 0.05


def test_a_probability_is_one():
    drawn = matrices(network("erdos_renyi", 8, [1], probability=0.2), 3000)[:, 0]
    mask = (drawn > 0) & ~torch.eye(8, dtype=torch.bool)
    assert abs(float(mask.sum()) / mask.numel() * 8 / 7 - 0.2) < 0.01
    whole = matrices(network("erdos_renyi", 5, [1], probability=1.0), 3)
    torch.testing.assert_close(whole, torch.full((3, 1, 5, 5), 0.2))


def test_directed_random_graphs_lead_one_way():
    found = network("erdos_renyi", 8, [1], directed=True, weights="push_sum")
    mask = (matrices(found, 50)[:, 0] > 0) & ~torch.eye(8, dtype=torch.bool)
    # Ratio 4 / 8 of 56 ordered pairs.
    assert (mask.sum((-1, -2)) == 28).all()
    assert not torch.equal(mask, mask.mT)
    assert found.is_push_sum and found.is_directed


def test_places_are_exchanged_and_nothing_else():
    still = network("path", 6, [1]).draw().matrix[0]
    drawn = matrices(network("path", 6, [1], dynamics="redrawn"), 40)[:, 0]
    for one in drawn:
        ends = (one > 0).sum(-1)
        assert torch.equal(one, one.T) and sorted(ends.tolist()) == [2, 2, 3, 3, 3, 3]
        torch.testing.assert_close(torch.linalg.eigvalsh(one), torch.linalg.eigvalsh(still))
    assert len(torch.unique(drawn, dim=0)) > 30


def test_a_graph_is_held_for_some_rounds():
    drawn = matrices(network("erdos_renyi", 8, [1], every=3), 12)
    one = matrices(network("erdos_renyi", 8, [1]), 4)
    assert torch.equal(drawn, one.repeat_interleave(3, 0))


@pytest.mark.parametrize("size", [20, 300])
def test_links_fail_as_often_as_told_in_both_directions(size):
    found = network("ring", size, [1, 2], dynamics="link_failure", failure=0.3)
    drawn = matrices(found, 20000 // size)
    links = (drawn > 0) & ~torch.eye(size, dtype=torch.bool)
    assert torch.equal(links, links.mT)
    held = links.sum().item() / (len(drawn) * 2 * 2 * size)
    assert abs(held - 0.7) < 0.02
    torch.testing.assert_close(drawn.sum(-1), torch.ones(drawn.shape[:-1]))
    torch.testing.assert_close(drawn.sum(-2), torch.ones(drawn.shape[:-1]))


def test_no_failure_is_no_change():
    still = network("torus", 20, [1]).draw().matrix
    assert torch.equal(
        network("torus", 20, [1], dynamics="link_failure", failure=0).draw().matrix, still
    )


def test_gossip_averages_one_pair_of_neighbours():
    drawn = matrices(network("star", 5, [1], dynamics="gossip"), 400)[:, 0]
    partners = []
    for one in drawn:
        hub, other = torch.nonzero(one.diag() == 0.5).flatten().tolist()
        assert hub == 0 and one[0, other] == one[other, 0] == 0.5
        assert one.count_nonzero() == 3 + 4
        partners.append(other)
    counts = torch.bincount(torch.tensor(partners), minlength=5)[1:]
    assert counts.min() > 70 and counts.max() < 130


def test_switching_goes_round():
    keys = {"dynamics": "switching", "among": ["star", "none"], "every": 2}
    drawn = matrices(network("ring", 6, [1], **keys), 12)
    parts = [network(name, 6, [1]).draw().matrix for name in ("ring", "star", "none")]
    expected = torch.stack([parts[t // 2 % 3] for t in range(12)])
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize("weights", LOCAL)
def test_sparse_is_dense(weights):
    both = links((0, 1), (1, 2), (2, 3), (1, 4), (0, 4), size=6)
    seeds = [3, 4]
    both = type(both)(
        2,
        6,
        False,
        torch.cat([torch.from_numpy(both.places), torch.from_numpy(both.places) + 36]).numpy(),
    )
    stream = stream_of(seeds, CPU)
    holds = Failures(both, stream, 0.4)(0, 3)[2]
    mixing = Pattern(both, weights, CPU).mixing(holds)
    mask = mask_of(both, CPU)
    mask.view(-1)[torch.from_numpy(both.places)] = holds
    assert 0 < mask.sum() < 20
    expected = consensus(mask, weights)
    torch.testing.assert_close(dense(mixing), expected)
    x = torch.randn(2, 6, 7)
    torch.testing.assert_close(mixing(x), expected @ x)
    with pytest.raises(AssertionError):
        _ = mixing.matrix


def test_large_graphs_are_sparse_where_that_is_faster():
    assert network("k_regular", 200).draw().is_sparse
    assert not network("k_regular", 100).draw().is_sparse
    assert not network("geometric", 200).draw().is_sparse
    assert not network("k_regular", 200, weights="sinkhorn_laplacian").draw().is_sparse
    assert not is_sparse(links((0, 1), size=20), "metropolis")


def test_sparse_networks_mix_as_dense_ones(monkeypatch):
    keys = {"dynamics": "link_failure", "failure": 0.2}
    x = torch.randn(2, 200, 5)
    sparse = network("torus", 200, [1, 2], **keys)
    monkeypatch.setattr("marlrun.graphs.assembly.is_sparse", lambda *_: False)
    other = network("torus", 200, [1, 2], **keys)
    for _ in range(3):
        mixing = sparse.draw()
        assert mixing.is_sparse
        torch.testing.assert_close(mixing(x), other.draw()(x))


def test_a_hundred_thousand_agents():
    found = network("k_regular", 100_000, [0])
    x = torch.randn(1, 100_000, 3)
    mixed = found.draw()(x)
    torch.testing.assert_close(mixed.mean(1), x.mean(1), rtol=0, atol=1e-5)
    assert mixed.var() < 0.25 * x.var()
    assert found.connected and found.draw().csr.values().shape == (500_000,)
    assert node("k_regular")["k"] == 4


@pytest.mark.gpu
@pytest.mark.parametrize("case", CHANGING)
def test_rounds_are_the_same_on_a_gpu(case):
    name, size, keys = CHANGING[case]
    there = build(node(name, **keys), "graph", [], size, SEEDS, torch.device("cuda"))
    found = matrices(there, 5)
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), matrices(network(name, size, SEEDS, **keys), 5))
