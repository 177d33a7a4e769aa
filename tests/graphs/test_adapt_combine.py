"""Adapt, then combine: numbers by hand, push-sum, refusals."""

import pytest
import torch

from marlrun.graphs.consensus import Consensus, MixingSettings
from marlrun.graphs.network import Mixing, Network

CPU = torch.device("cpu")


def network(matrix, replicas: int = 1, push_sum: bool = False) -> Network:
    matrices = torch.as_tensor(matrix, dtype=torch.float32).expand(replicas, -1, -1).contiguous()
    rounds = Mixing(matrices)
    return Network(matrices.shape[1], replicas, lambda _: rounds, period=1, is_push_sum=push_sum)


def make(graph: Network, **changes) -> Consensus:
    settings = {
        "communication": "graph",
        "message": "critic",
        "rounds": 1,
        "interval": 1,
        "aggregate": "mean",
        "tolerate": 1,
        "faulty_agents": [],
        "fault": "refuse",
    }
    return Consensus(graph, graph.num_replicas, CPU, MixingSettings(**settings | changes))


TWO = [[0.75, 0.25], [0.5, 0.5]]


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1)


def combine(
    consensus: Consensus, w: torch.Tensor, step: torch.Tensor, time: int = 1
) -> list[float]:
    adapted = consensus.begin(w)
    consensus.mix(time, adapted.add_(step))
    return w.flatten().tolist()


def test_adapt_then_combine_all_at_once():
    # w + step = (2, 6); agent 1 hears agent 0's 2, not the 3 that agent 0 makes of it.
    assert combine(make(network(TWO)), column(1.0, 4.0), column(1.0, 2.0)) == [3.0, 4.0]


def test_increments_are_the_trap():
    consensus = make(network(TWO), message="increments")
    assert combine(consensus, column(1.0, 4.0), column(1.0, 2.0)) == [2.25, 5.5]


KINDS = {
    "mean": {},
    "increments": {"message": "increments"},
    "push_sum": {},
    "nobody": {"communication": "none"},
    "seldom": {"interval": 2},
    "twice": {"rounds": 2},
    "nearest": {"aggregate": "nearest", "faulty_agents": [0]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_adapted_stays_at_hand(kind):
    """The same w~ takes steps again and again, as if it had begun anew each time."""
    matrix = [[0.5, 0.2, 0.2, 0.1]] * 4
    once, anew = (make(network(matrix, push_sum=kind == "push_sum"), **KINDS[kind]) for _ in "ab")
    w, v = column(1.0, 4.0, 2.0, 7.0), column(1.0, 4.0, 2.0, 7.0)
    adapted, step = once.begin(w), column(1.0, 2.0, -1.0, 3.0)
    assert (adapted is w) == (kind not in ("increments", "push_sum"))
    for time in (1, 2, 3):
        once.mix(time, adapted.add_(step))
        assert w.flatten().tolist() == combine(anew, v, step, time)


def test_rounds_and_interval():
    assert combine(make(network(TWO), rounds=2), column(1.0, 4.0), column(1.0, 2.0)) == [3.25, 3.5]
    seldom = make(network(TWO), interval=2)
    assert combine(seldom, column(1.0, 4.0), column(1.0, 2.0)) == [2.0, 6.0]
    assert combine(seldom, column(1.0, 4.0), column(1.0, 2.0), time=2) == [3.0, 4.0]
    off = make(network(TWO), communication="none")
    assert combine(off, column(1.0, 4.0), column(1.0, 2.0)) == [2.0, 6.0]


def test_one_round_for_all_that_is_sent():
    graph = network(TWO)
    v, w = column(1.0, 5.0), column(0.0, 4.0)
    consensus = make(graph)
    consensus.mix(1, consensus.begin(v), consensus.begin(w))
    assert graph.counter == 1
    assert [v.flatten().tolist(), w.flatten().tolist()] == [[2.0, 3.0], [1.0, 2.0]]


def test_what_was_not_begun_is_not_sent():
    consensus = make(network(TWO))
    v, w = column(1.0, 5.0), column(0.0, 4.0)
    consensus.mix(1, consensus.begin(v), w)
    assert [v.flatten().tolist(), w.flatten().tolist()] == [[2.0, 3.0], [0.0, 4.0]]


def test_faulty_agents_send_but_do_not_listen():
    equal = [[1 / 3] * 3] * 3
    consensus = make(network(equal), faulty_agents=[0])
    mixed = combine(consensus, column(9.0, 3.0, 0.0), torch.zeros(1, 3, 1))
    assert mixed == pytest.approx([9.0, 4.0, 4.0])
    w = column(9.0, 3.0, 0.0)
    for time in range(1, 60):
        combine(consensus, w, torch.zeros(1, 3, 1), time)
    assert w.flatten().tolist() == pytest.approx([9.0] * 3)


def test_trimming_shrugs_a_faulty_agent_off():
    graph = network([[0.2] * 5] * 5)
    w = column(1000.0, 1.0, 2.0, 3.0, 4.0)
    for aggregate in ("trim", "clip", "nearest"):
        mixed = w.clone()
        consensus = make(graph, aggregate=aggregate, faulty_agents=[0])
        for time in range(1, 200):
            combine(consensus, mixed, torch.zeros(1, 5, 1), time)
        assert mixed[0, 0, 0] == 1000
        assert mixed[0, 1:].min() >= 1 and mixed[0, 1:].max() <= 4
        assert mixed[0, 1:].max() - mixed[0, 1:].min() < 1e-4


def test_the_nearest_keep_the_mean_of_those_who_listen():
    """All drop agent 0 and count themselves in its place: among themselves columns sum to 1."""
    w = column(1000.0, 1.0, 2.0, 3.0, 6.0)
    consensus = make(network([[0.2] * 5] * 5), aggregate="nearest", faulty_agents=[0])
    for time in range(1, 20):
        combine(consensus, w, torch.zeros(1, 5, 1), time)
    assert w.flatten().tolist() == pytest.approx([1000.0, 3.0, 3.0, 3.0, 3.0])


def test_faulty_agents_that_oppose_learn_from_minus_their_reward():
    private = torch.tensor([[[1.0, 2.0, -3.0]]])
    graph = network([[1 / 3] * 3] * 3)
    opposed = make(graph, faulty_agents=[0, 2], fault="oppose").reward(private)
    assert opposed.tolist() == [[[-1.0, 2.0, 3.0]]]
    assert make(graph, faulty_agents=[0, 2]).reward(private) is private
    assert make(graph, fault="oppose").reward(private) is private


def test_the_central_counterpart_learns_from_the_mean_reward():
    private = torch.tensor([[[1.0, 2.0, -6.0]]])
    central = make(network([[1 / 3] * 3] * 3), communication="central")
    assert central.reward(private).tolist() == [[[-1.0, -1.0, -1.0]]]


# A directed ring 0 -> 1 -> 2 -> 0 and a link 0 -> 2: columns sum to 1, rows do not.
RING = [[1 / 3, 0, 1 / 2], [1 / 3, 1 / 2, 0], [1 / 3, 1 / 2, 1 / 2]]


def test_push_sum_finds_the_average_where_rows_do_not_sum_to_one():
    consensus = make(network(RING, replicas=2, push_sum=True))
    w = torch.tensor([[[3.0], [6.0], [0.0]], [[0.0], [1.0], [5.0]]])
    for time in range(1, 60):
        combine(consensus, w, torch.zeros_like(w), time)
    torch.testing.assert_close(w, torch.tensor([3.0, 2.0]).view(2, 1, 1).expand(2, 3, 1))
    plain = make(network(RING))
    biased = column(3.0, 6.0, 0.0)
    for time in range(1, 60):
        combine(plain, biased, torch.zeros(1, 3, 1), time)
    assert abs(biased[0, 2, 0] - 3) > 0.9


def test_push_sum_by_hand():
    consensus = make(network(RING, push_sum=True))
    w = column(3.0, 6.0, 0.0)
    combine(consensus, w, column(0.0, 0.0, 3.0))
    # x = (3, 6, 3) -> (2.5, 4, 5.5); y = (5/6, 5/6, 4/3)
    assert w.flatten().tolist() == pytest.approx([3.0, 4.8, 4.125])
    combine(consensus, w, column(0.5, 0.0, 0.0))
    # x = y w + step = (3, 4, 5.5) -> (3.75, 3, 5.75); y -> (17/18, 25/36, 49/36)
    expected = [3.75 * 18 / 17, 3 * 36 / 25, 5.75 * 36 / 49]
    assert w.flatten().tolist() == pytest.approx(expected)


def test_state_goes_on_the_same():
    one = make(network(RING, push_sum=True))
    w = column(3.0, 6.0, 0.0)
    combine(one, w, torch.zeros(1, 3, 1))
    other, v = make(network(RING, push_sum=True)), w.clone()
    other.load_state_dict(one.state_dict())
    assert combine(one, w, torch.ones(1, 3, 1)) == combine(other, v, torch.ones(1, 3, 1))


def test_what_does_not_fit_is_refused():
    six = network([[1 / 6] * 6] * 6)
    with pytest.raises(
        ValueError,
        match=r"^algo.mixing.faulty_agents=\[6\]: expected agents from 0 to 5, each once",
    ):
        make(six, faulty_agents=[6])
    for faulty in ([0, 0], [0, 1, 2, 3, 4, 5]):
        with pytest.raises(
            ValueError, match="^algo.mixing.faulty_agents=.*each once, and not all$"
        ):
            make(six, faulty_agents=faulty)
    with pytest.raises(
        ValueError, match=r"^algo.mixing.aggregate=trim algo.mixing.faulty_agents=\[\]: .*not graph"
    ):
        make(six, aggregate="trim", communication="central")
    with pytest.raises(
        ValueError, match=r"algo.mixing.faulty_agents=\[0\]: expected mean and \[\] where"
    ):
        make(six, faulty_agents=[0], communication="none")
    with pytest.raises(
        ValueError, match="^algo.mixing.tolerate=3: expected less than half of the 5 neighbours"
    ):
        make(six, aggregate="trim", tolerate=3)
    make(six, aggregate="clip", tolerate=2)
    directed = network(RING, push_sum=True)
    with pytest.raises(ValueError, match="^algo.mixing.aggregate=clip"):
        make(directed, aggregate="clip", tolerate=0)
    with pytest.raises(ValueError, match=r"algo.mixing.faulty_agents=\[1\]"):
        make(directed, faulty_agents=[1])
    with pytest.raises(ValueError, match="^algo.mixing.message=increments"):
        make(directed, message="increments")


def ring(num_agents: int) -> torch.Tensor:
    one = torch.eye(num_agents)
    return (one + one.roll(1, 0) + one.roll(-1, 0)) / 3


@pytest.mark.parametrize("aggregate", ["trim", "clip"])
def test_trimming_all_neighbours_is_refused(aggregate):
    with pytest.raises(ValueError, match="^algo.mixing.tolerate=1: .* half of the 2 neighbours"):
        make(network(ring(6)), aggregate=aggregate)
    make(network(ring(6)), aggregate=aggregate, tolerate=0)
    make(network([[0.25] * 4] * 4), aggregate=aggregate)
    pairs = torch.eye(4).repeat(2, 1, 1)
    pairs[0, :2, :2] = pairs[1, 2:, 2:] = 0.5
    rounds = [Mixing(pair[None]) for pair in pairs]
    gossip = Network(4, 1, lambda counter: rounds[counter % 2], period=None)
    with pytest.raises(
        ValueError, match="^algo.mixing.tolerate=1: .* the 1 neighbours .* hears at most"
    ):
        make(gossip, aggregate=aggregate)
    assert gossip.counter == 0
    make(gossip, aggregate=aggregate, tolerate=0)
    thin = Network(6, 1, lambda _: Mixing(ring(6)[None]), period=None)
    make(thin, aggregate=aggregate)


def test_sparse_graphs_take_means_only():
    class Sparse(Mixing):
        is_sparse = True

    rounds = Sparse(torch.eye(4)[None])
    graph = Network(4, 1, lambda _: rounds, period=1)
    with pytest.raises(ValueError, match="^algo.mixing.aggregate=trim: expected mean"):
        make(graph, aggregate="trim")
    assert graph.counter == 0
    assert combine(make(graph), column(1.0, 2.0, 3.0, 4.0), torch.ones(1, 4, 1)) == [2, 3, 4, 5]
