"""Reservoir sampling: every item of the past is equally likely to be kept."""

import pytest
import torch

from marlrun.data.reservoir import ReplaySettings, Reservoir, check_room

CPU = torch.device("cpu")


def fill(seeds, num_items, batch, *, capacity, first):
    """Return a reservoir that saw items 0, 1, .. [R, B, 1], the same in all replicas."""
    reservoir = Reservoir(seeds, CPU, capacity=capacity, first=first, num_features=1)
    items = torch.arange(num_items).float().view(1, -1, 1).expand(len(seeds), -1, -1)
    for part in items.split(batch, 1):
        reservoir.add(part)
    return reservoir


def test_until_it_is_full_all_are_kept_in_order():
    reservoir = fill([3, 4], 6, 2, capacity=7, first=0)
    assert reservoir.rows.squeeze(-1).tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]] * 2


@pytest.mark.parametrize("batch", [4, 5])
def test_each_item_is_kept_with_the_same_probability(batch):
    """60 items, room for 12: each is kept with 1/5. In 4000 replicas its count has deviation 25."""
    seeds = range(4000)
    kept = fill(seeds, 60, batch, capacity=12, first=0).rows.flatten().long()
    counts = torch.bincount(kept, minlength=60)
    assert counts.sum() == 48_000
    assert (counts - 800).abs().max() < 110
    # 60 counts whose squared deviations sum to 59 degrees of freedom or so, times 640.
    assert ((counts - 800).square().sum() / 640) < 100


def test_slots_are_independent_of_each_other():
    """Two items of one batch may go to one slot, and the last stays: no item of a batch is preferred."""
    kept = fill(range(4000), 60, 12, capacity=12, first=0).rows.flatten().long()
    by_batch = torch.bincount(kept // 12, minlength=5)
    assert (by_batch - 9600).abs().max() < 350


def test_the_first_items_stay_for_ever_and_the_others_are_sampled_among_themselves():
    reservoir = fill(range(4000), 60, 5, capacity=12, first=3)
    kept = reservoir.rows.squeeze(-1).long()
    assert (kept[:, :3] == torch.arange(3)).all()
    counts = torch.bincount(kept[:, 3:].flatten(), minlength=60)
    assert counts[:3].tolist() == [0, 0, 0]
    # 57 items, room for 9.
    assert (counts[3:] - 4000 * 9 / 57).abs().max() < 105


def test_a_reservoir_of_first_items_alone_is_never_changed():
    kept = fill([3], 60, 5, capacity=12, first=12).rows
    assert kept.flatten().tolist() == list(range(12))


def test_a_replica_keeps_the_same_alone_and_in_company():
    together = fill([3, 4], 500, 20, capacity=30, first=5).rows
    for index, seed in enumerate((3, 4)):
        assert torch.equal(fill([seed], 500, 20, capacity=30, first=5).rows[0], together[index])
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("cut", [10, 40, 300])
def test_it_goes_on_from_its_state(cut):
    whole = fill([3, 4], 500, 10, capacity=30, first=5)
    first = fill([3, 4], cut, 10, capacity=30, first=5)
    second = Reservoir([3, 4], CPU, capacity=30, first=5, num_features=1)
    second.load_state_dict(first.state_dict())
    for start in range(cut, 500, 10):
        items = torch.arange(start, start + 10).float().view(1, -1, 1).expand(2, -1, -1)
        second.add(items)
    assert torch.equal(whole.rows, second.rows)


def test_numbers_choose_among_what_is_kept():
    reservoir = fill([3, 4], 4, 2, capacity=30, first=0)
    chance = torch.tensor([[0.0, 0.26, 0.9999999], [0.5, 0.5, 0.0]])
    assert reservoir.sample(chance).squeeze(-1).tolist() == [[0.0, 1.0, 3.0], [2.0, 2.0, 0.0]]


def test_what_the_memory_cannot_hold_is_refused_by_its_key():
    settings = ReplaySettings(capacity=10**10, share=1.0, first_share=0.0)
    with pytest.raises(
        ValueError, match=r"algo.replay.capacity=10000000000 replicas=5: this takes"
    ):
        check_room(5, 100, CPU, settings)
