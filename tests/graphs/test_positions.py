"""The graph that positions make: weights and windows by hand, promises 1 and 2, who hears whom."""

import copy

import networkx
import pytest
import torch
from algos.networked import SPEC, actions, learner, step, ticks, weights
from graphs.graphs_at_hand import CPU, network, node

from marlrun.graphs.consensus import Consensus, MixingSettings
from marlrun.graphs.positions import is_connected
from marlrun.runner.build import build_env, build_learner

SEEDS = (5, 9)
ALGOS = ["networked_ac_q", "networked_ac_v"]
FAILING = {"dynamics": "link_failure", "failure": 0.4}


def near(*pairs: tuple[int, int], size: int = 4) -> torch.Tensor:
    """Return who is near whom in one replica, [N, N]."""
    links = torch.zeros(size, size, dtype=torch.bool)
    for one, other in pairs:
        links[one, other] = links[other, one] = True
    return links


PATH = near((0, 1), (1, 2))
"""Agent 3 is alone."""


def drawn(size: int, seeds=SEEDS, rounds: int = 1) -> torch.Tensor:
    """Return who is near whom in some rounds, at random by seed: [T, R, N, N]."""
    half = torch.stack(
        [
            torch.rand(rounds, size, size, generator=torch.Generator().manual_seed(seed)) < 0.3
            for seed in seeds
        ],
        1,
    ).triu(1)
    return half | half.mT


def test_weights_by_hand():
    made = network("positions", 4, SEEDS)
    matrix = made.draw(torch.stack((PATH, near((2, 3))))).matrix
    third = 1 / 3
    first = [[2 * third, third, 0, 0], [third, third, third, 0], [0, third, 2 * third, 0]]
    torch.testing.assert_close(matrix[0], torch.tensor([*first, [0, 0, 0, 1]]))
    second = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]
    assert matrix[1].tolist() == second
    # The next round knows nothing of this one.
    assert torch.equal(made.draw(near().expand(2, 4, 4)).matrix, torch.eye(4).expand(2, 4, 4))


@pytest.mark.parametrize(
    "rule",
    [
        "metropolis",
        "lazy_metropolis",
        "max_degree",
        "sinkhorn_laplacian",
        "uniform_row",
        "push_sum",
    ],
)
def test_all_weights_are_stochastic_and_only_neighbours_count(rule):
    made = network("positions", 7, SEEDS, weights=rule)
    links = drawn(7)[0]
    matrix, ones = made.draw(links).matrix, torch.ones(2, 7)
    if rule != "push_sum":
        torch.testing.assert_close(matrix.sum(-1), ones)
    if rule != "uniform_row":
        torch.testing.assert_close(matrix.sum(-2), ones)
    others = ~torch.eye(7, dtype=torch.bool)
    assert torch.equal((matrix > 0) & others, links) and matrix.min() >= 0
    assert made.is_push_sum == (rule == "push_sum")
    assert (made.warning is not None) == (rule == "uniform_row")


def test_links_fail_at_their_rate_and_in_both_directions_at_once():
    made, everyone = network("positions", 30, SEEDS, **FAILING), ~torch.eye(30, dtype=torch.bool)
    path = torch.diag(torch.ones(29), 1).bool()
    path = path | path.T
    rates = []
    for _ in range(20):
        holds = made.draw(everyone.expand(2, 30, 30)).matrix > 0
        assert torch.equal(holds, holds.mT) and not torch.equal(holds[0], holds[1])
        rates.append(holds[:, everyone].float().mean())
        assert not (made.draw(path.expand(2, 30, 30)).matrix > 0)[:, everyone & ~path].any()
    assert abs(torch.stack(rates).mean() - 0.6) < 4 * (0.24 / (20 * 2 * 435)) ** 0.5


def test_a_graph_is_held_for_some_rounds():
    made, links = network("positions", 6, SEEDS, **FAILING, every=3), drawn(6, rounds=7)
    rounds = [made.draw(near_now).matrix.clone() for near_now in links]
    for first in (0, 3):
        assert all(torch.equal(rounds[first], rounds[first + i]) for i in (1, 2))
    assert not torch.equal(rounds[0], rounds[3]) and not torch.equal(rounds[3], rounds[6])


@pytest.mark.parametrize("keys", [{}, FAILING, FAILING | {"every": 2}], ids=str)
def test_a_replica_is_bit_equal_alone_and_in_company(keys):
    links = drawn(5, rounds=12)
    company = network("positions", 5, SEEDS, **keys, window=4)
    together = [company.draw(now).matrix.clone() for now in links]
    for replica, seed in enumerate(SEEDS):
        alone = network("positions", 5, [seed], **keys, window=4)
        for now, expected in zip(links[:, replica : replica + 1], together, strict=True):
            assert torch.equal(alone.draw(now).matrix[0], expected[replica])
        share = alone.metrics()["graph/connected_windows"]
        assert torch.equal(share[0], share_of(company)[replica])


def share_of(made) -> torch.Tensor:
    """Return a network's share of connected windows, which stays to be asked for again."""
    return copy.deepcopy(made).metrics()["graph/connected_windows"]


@pytest.mark.parametrize("keys", [{}, FAILING | {"every": 5}], ids=str)
def test_a_network_that_was_saved_goes_on_as_it_would_have(keys):
    """It is saved amid a window, and amid the rounds for which a graph is held."""
    links = drawn(6, rounds=30)
    whole, first = (network("positions", 6, SEEDS, **keys, window=4) for _ in "ab")
    expected = [whole.draw(now).matrix.clone() for now in links]
    for now in links[:18]:
        first.draw(now)
    first.metrics()
    second = network("positions", 6, SEEDS, **keys, window=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    first.draw(links[0])  # must not reach what was saved
    for now, matrix in zip(links[18:], expected[18:], strict=True):
        assert torch.equal(second.draw(now).matrix, matrix)
    whole._connected = whole._connected[4:]
    assert torch.equal(second.metrics()["graph/connected_windows"], share_of(whole))


def test_connected_windows_by_hand():
    """Windows of 3 rounds, replica by replica: a path in pieces; the same link thrice; all at once."""
    made = network("positions", 3, (1, 2, 3), window=3)
    ends = near((0, 1), size=3), near((1, 2), size=3), near(size=3)
    same, whole = near((0, 1), size=3), near((0, 1), (1, 2), size=3)
    for piece in ends:
        assert made.metrics() == {}
        made.draw(torch.stack((piece, same, whole)))
    assert made.metrics()["graph/connected_windows"].tolist() == [1, 0, 1]
    assert made.metrics() == {}
    # A window forgets the one before: now link 0-1 is missing in replica 0.
    for piece in (*ends[1:], ends[2], *ends):
        made.draw(torch.stack((piece, whole, same)))
    assert made.metrics()["graph/connected_windows"].tolist() == [0.5, 1, 0]


def test_links_that_failed_connect_nobody():
    made = network("positions", 2, (1,), dynamics="link_failure", failure=0.5, window=1)
    together = near((0, 1), size=2)[None]
    rounds = [(made.draw(together).matrix[0, 0, 1] > 0).item() for _ in range(40)]
    assert made.metrics()["graph/connected_windows"].item() == pytest.approx(sum(rounds) / 40)
    assert 0 < sum(rounds) < 40


def test_connected_is_what_networkx_says():
    links = drawn(9, seeds=range(200))[0]
    links &= (torch.arange(200) % 3 > 0)[:, None, None] | (torch.rand(200, 9, 9).triu(1) > 2)
    expected = [networkx.is_connected(networkx.from_numpy_array(one.numpy())) for one in links]
    assert is_connected(links).tolist() == expected and 20 < sum(expected) < 180
    for size in (1, 2, 3, 8, 9, 17, 50):
        path = torch.diag(torch.ones(size - 1), 1).bool()
        path = (path | path.T)[None]
        assert is_connected(path).all()
        if size > 1:
            path[0, size // 2 - 1, size // 2] = path[0, size // 2, size // 2 - 1] = False
            assert not is_connected(path).any()


def test_who_is_near_must_be_told():
    with pytest.raises(ValueError, match=r"^graph=positions: expected draw\(adjacency\), got none"):
        network("positions", 4).draw()


def test_those_whom_agents_mistrust_must_be_fewer_than_all_others():
    settings = {
        **{"communication": "graph", "message": "critic", "rounds": 1, "interval": 1},
        **{"aggregate": "nearest", "faulty_agents": [0], "fault": "refuse"},
    }
    made = network("positions", 4, SEEDS, window=1)
    Consensus(made, 2, CPU, MixingSettings(**settings, tolerate=2))
    # To learn that, all were near each other in rounds that never were.
    assert made.counter == 0 and made.metrics() == {} and not made.state_dict()["mask"].any()
    with pytest.raises(ValueError, match="^algo.mixing.tolerate=3: expected less than the 3 neigh"):
        Consensus(made, 2, CPU, MixingSettings(**settings, tolerate=3))


def test_a_game_without_positions_is_refused():
    algo, env = (node_of(*name) for name in (("algo", ALGOS[0]), ("env", "public_goods")))
    game = build_env(env, [0], CPU, [])
    line = (
        r"^graph=positions: env PublicGoods does not say who is near whom \(Spec.has_adjacency\), "
        "expected another graph, or a game that does: networked_spread$"
    )
    with pytest.raises(ValueError, match=line):
        build_learner(algo, game, [0], CPU, [], 1, node("positions"))


def node_of(group: str, name: str):
    from paper2.worlds import node

    return node(group, name)


@pytest.mark.parametrize("name", ALGOS)
def test_agents_send_to_those_who_are_near_after_the_transition_that_they_learn_from(name):
    """Two agents meet in state 1 and part in state 0; only what is learned on the way to 1 is sent."""
    made = learner(name, network("positions", 2, (0,)), SPEC)
    apart = near(size=2).view(1, 1, 2, 2)
    parted = step(0)._replace(adjacency=apart)
    met = step(1, reward=(1.0, 2.0))._replace(adjacency=~apart ^ torch.eye(2, dtype=torch.bool))
    agree = []
    for before, after in ((parted, met), (met, parted), (parted, met)):
        made.observe(before, actions(1, 0), after)
        metrics = made.update()
        one, other = made.critic.parameters[0]
        agree.append(torch.equal(one, other) if metrics else None)
    # Algorithm 1 learns a step later, when the next action is known: with the neighbours of then.
    lag = [None, True, False]
    assert agree == (lag if name == "networked_ac_q" else [True, False, True])


@pytest.mark.parametrize("name", ALGOS)
def test_a_replica_learns_the_same_alone_and_in_company(name):
    settings = {"steps.critic": 0.001, "policy.hidden": [5]}
    runs = [
        ticks(
            name, network("positions", 5, seeds, **FAILING, window=3), seeds, 50, GAME, **settings
        )
        for seeds in ((4,), (3, 4, 5))
    ]
    (alone, loop), (company, loop_of_all) = runs
    seen = [
        next(loop).metrics | next(loop).metrics | next(loop).metrics for loop in (loop, loop_of_all)
    ]
    assert "graph/connected_windows" in seen[0]
    for tag, values in seen[0].items():
        assert torch.equal(values[0], seen[1][tag][1]), tag
    for one, all_of_them in zip(weights(alone), weights(company), strict=True):
        assert torch.equal(one[0], all_of_them[1])
        assert not torch.equal(all_of_them[0], all_of_them[1])


GAME = "networked_spread"
