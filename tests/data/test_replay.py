from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from marlrun.data.replay import EpisodeReplay

CPU = torch.device("cpu")


def _replay(seeds=(0,), **changes) -> EpisodeReplay:
    settings = {
        "num_envs": 1,
        "num_agents": 2,
        "obs_size": 1,
        "horizon": 5,
        "episodes": 4,
        "batch": 2,
        "trace": 3,
        "concurrent": True,
    }
    return EpisodeReplay(seeds, CPU, **(settings | changes))


def _play(replay: EpisodeReplay, lengths: list[int], start: int = 1) -> None:
    """Add episodes in every copy: step t of episode e has obs 10 e + t (agent 1: + 0.5)."""
    shape = (replay.num_replicas, len(replay.slot) // replay.num_replicas)
    for episode, length in enumerate(lengths, start):
        for t in range(length):
            agents = torch.tensor([0.0, 0.5])[: replay.num_agents].expand(*shape, -1)
            done = torch.full(shape, t == length - 1)
            replay.add(
                (agents + 10 * episode + t).unsqueeze(-1),
                (agents * 2 + t).long(),
                agents * 0 + 100 * episode + t,
                done.float(),
                (agents + 10 * episode + t + 1).unsqueeze(-1),
                done,
            )


def test_a_trace_inside_and_over_both_ends_by_hand():
    replay = _replay(episodes=1, batch=1)
    _play(replay, [4])
    seen = {}
    for _ in range(200):
        traces = replay.sample()
        seen[tuple(traces.obs[0, 0, :, 0, 0].tolist())] = traces
    # Starts -2 .. 3 of an episode 10 11 12 13 (14): cut off, moved to the front, zero behind.
    assert set(seen) == {
        (10, 11, 0, 0),
        (10, 11, 12, 0),
        (10, 11, 12, 13),
        (11, 12, 13, 14),
        (12, 13, 14, 0),
        (13, 14, 0, 0),
    }
    late = seen[12, 13, 14, 0]
    assert late.mask[0, 0, :, 0].tolist() == [1, 1, 0]
    assert late.action[0, :, :, 0].tolist() == [[2, 3, 0], [3, 4, 0]]
    assert late.reward[0, 0, :, 0].tolist() == [102, 103, 0]
    assert late.end[0, 0, :, 0].tolist() == [0, 1, 0]
    assert late.obs[0, 1, :, 0, 0].tolist() == [12.5, 13.5, 14.5, 0]
    assert seen[10, 11, 0, 0].mask[0, 0, :, 0].tolist() == [1, 0, 0]
    assert seen[10, 11, 12, 13].end.sum() == 0


def test_a_burn_in_by_hand():
    """Up to two steps before a trace of two; fewer where the episode begins before."""
    replay = _replay(episodes=1, batch=1, trace=2, burn_in=2)
    _play(replay, [4])
    seen = {}
    for _ in range(100):
        traces = replay.sample()
        seen[tuple(traces.obs[0, 0, :, 0, 0].tolist())] = traces
    masks = {obs: traces.mask[0, 0, :, 0].tolist() for obs, traces in seen.items()}
    # Traces that start at -1, 0, .. 3 of an episode 10 11 12 13 (14).
    assert masks == {
        (10, 11, 0, 0, 0): [1, 0, 0, 0],
        (10, 11, 12, 0, 0): [1, 1, 0, 0],
        (10, 11, 12, 13, 0): [0, 1, 1, 0],
        (10, 11, 12, 13, 14): [0, 0, 1, 1],
        (11, 12, 13, 14, 0): [0, 0, 1, 0],
    }
    last = seen[11, 12, 13, 14, 0]
    assert last.reward[0, 0, :, 0].tolist() == [101, 102, 103, 0]
    assert last.end[0, 0, :, 0].tolist() == [0, 0, 1, 0]


def test_a_burn_in_changes_no_draw():
    """The steps that are learned from are those of the replay without it."""
    plain, warm = _replay(), _replay(burn_in=3)
    for replay in (plain, warm):
        _play(replay, [4, 5, 2, 5])
    for _ in range(20):
        one, other = plain.sample(), warm.sample()
        for batch in range(2):
            learned = other.mask[0, 0, :, batch] > 0
            steps = int(one.mask[0, 0, :, batch].sum())
            assert learned.sum() == steps
            for name in ("action", "reward", "end"):
                before = getattr(one, name)[0, 0, :steps, batch]
                assert torch.equal(getattr(other, name)[0, 0, learned, batch], before)


def test_starts_are_uniform_and_episodes_are_uniform_whatever_their_length():
    replay = _replay(episodes=3, batch=1)
    _play(replay, [1, 5, 3])
    draws = [replay._choose(replay.draw()) for _ in range(6000)]
    rows = Counter((row.item(), steps.item()) for row, steps, _ in draws)
    episodes = Counter(row // replay.rows for row, _ in rows.elements())
    assert chisquare([episodes[slot] for slot in range(3)]).pvalue > 1e-3
    # The second episode, length 5, trace 3: starts -2 .. 4, so first rows 0 (three times) .. 4.
    long = Counter({key: n for key, n in rows.items() if key[0] // replay.rows == 1})
    expected = {(6, 1), (6, 2), (6, 3), (7, 3), (8, 3), (9, 2), (10, 1)}
    assert set(long) == expected
    assert chisquare([long[key] for key in expected]).pvalue > 1e-3


def test_a_batch_has_distinct_episodes():
    replay = _replay(batch=4)
    _play(replay, [2, 2, 2, 2])
    for _ in range(50):
        rows, _, _ = replay._choose(replay.draw())
        assert len(set((rows // replay.rows).flatten().tolist())) == 4


@pytest.mark.parametrize("concurrent", [True, False])
def test_concurrency(concurrent):
    replay = _replay(concurrent=concurrent, batch=3)
    _play(replay, [4, 4, 4, 4])
    same = 0
    for _ in range(50):
        obs = replay.sample().obs[0, :, 0, :, 0]
        same += torch.equal(obs[0] + 0.5, obs[1])
    assert same == 50 if concurrent else same < 5


def test_first_in_first_out_and_an_open_episode_is_not_sampled():
    replay = _replay(episodes=2)
    _play(replay, [2, 3, 4])
    _play(replay, [5], start=4)
    shape = (1, 1)
    replay.add(
        torch.full((1, 1, 2, 1), 50.0),
        torch.zeros(1, 1, 2, dtype=torch.int64),
        torch.zeros(1, 1, 2),
        torch.zeros(shape),
        torch.full((1, 1, 2, 1), 51.0),
        torch.zeros(shape, dtype=torch.bool),
    )
    episodes = {int(x) // 10 for _ in range(50) for x in replay.sample().obs[0, 0, 0, :, 0]}
    assert episodes == {3, 4}


def test_an_unfinished_episode_is_forgotten_where_another_begins():
    replay, whole = _replay(num_envs=2), _replay(num_envs=2)
    _play(replay, [2])
    _play(whole, [2])
    replay.time[:] = 3
    replay.forget_unfinished(torch.tensor([[True, False]]))
    assert replay.time.tolist() == [0, 3]
    replay.forget_unfinished(torch.tensor([[False, True]]))
    _play(replay, [4], start=2)
    _play(whole, [4], start=2)
    for name, value in whole.state_dict().items():
        if name != "draws":
            assert torch.equal(replay.state_dict()[name], value)


def test_copies_have_rings_of_their_own():
    replay = _replay(num_envs=2, episodes=4, batch=4)
    _play(replay, [2, 3, 4])
    rows, _, _ = replay._choose(replay.draw())
    assert sorted((rows // replay.rows).flatten().tolist()) == [1, 2, 4, 5]
    assert len(_replay(num_envs=2, episodes=5).length) == 2 * (3 + 1)


def test_a_replica_samples_the_same_alone_and_in_company():
    alone, company = _replay(seeds=[7]), _replay(seeds=[1, 7, 2])
    for replay in (alone, company):
        _play(replay, [4, 2, 5, 1])
    for _ in range(5):
        for mine, theirs in zip(alone.sample(), company.sample(), strict=True):
            assert torch.equal(mine[0], theirs[1])


def test_state_dict_round_trip():
    replay, copy = _replay(), _replay()
    _play(replay, [4, 2, 5])
    replay.sample()
    copy.load_state_dict(replay.state_dict())
    _play(replay, [3], start=4)
    _play(copy, [3], start=4)
    for mine, theirs in zip(replay.sample(), copy.sample(), strict=True):
        assert torch.equal(mine, theirs)
