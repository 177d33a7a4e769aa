"""Transitions of a rollout, and rows of floats."""

import torch

from marlrun.data.rollout import Recorder
from marlrun.data.rows import Rows, drawn
from marlrun.data.transitions import transitions_of
from marlrun.types import Step

COPIES, AGENTS, ACTIONS = 2, 3, 4


def step(time, *, terminated=False, truncated=False, alive=None):
    obs = time + torch.zeros(1, COPIES, AGENTS, 5)
    flag = torch.zeros(1, COPIES, dtype=torch.bool)
    mask = torch.ones(1, COPIES, AGENTS, ACTIONS, dtype=torch.bool)
    reward = torch.zeros(1, COPIES, AGENTS)
    return Step(flag, obs, reward, flag | terminated, flag | truncated, alive, mask)


def test_transitions_of_a_rollout_tell_ends_from_time_limits():
    recorder = Recorder(3)
    alive = torch.ones(1, COPIES, AGENTS, dtype=torch.bool)
    gone = alive.clone()
    gone[..., 1] = False
    recorder.add(step(0.0, alive=alive), torch.full((1, COPIES, AGENTS), 3), step(1.0, alive=gone))
    ends = step(2.0, alive=gone, truncated=True)
    recorder.add(step(1.0, alive=gone), torch.zeros(1, COPIES, AGENTS, dtype=torch.long), ends)
    recorder.add(
        step(0.0, alive=alive),
        torch.zeros(1, COPIES, AGENTS, dtype=torch.long),
        step(1.0, alive=alive, terminated=True),
    )
    transitions = transitions_of(recorder.take())
    first_copy = slice(None, None, COPIES)
    assert transitions.obs[0, first_copy, 0, 0].tolist() == [0.0, 1.0, 0.0]
    assert transitions.next_obs[0, first_copy, 0, 0].tolist() == [1.0, 2.0, 1.0]
    assert transitions.action[0, first_copy, 2].tolist() == [3, 0, 0]
    left, ended = [False, True, False], [True, True, True]
    assert transitions.terminated[0, first_copy].tolist() == [left, left, ended]
    assert transitions.counts[0, first_copy, 1].tolist() == [1.0, 0.0, 1.0]
    assert transitions.action_mask.shape == (1, 3 * COPIES, AGENTS, ACTIONS)


def test_rows_give_back_what_they_were_given():
    parts = {
        "obs": torch.rand(2, 6, 3, 5),
        "action": torch.tensor([2**24, 1, 0]).expand(2, 6, 3),
        "terminated": torch.rand(2, 6, 3) < 0.5,
    }
    rows = Rows(parts)
    packed = rows.pack(parts | {"unknown": torch.zeros(1)})
    assert packed.shape == (2, 6, rows.size) == (2, 6, 21)
    for name, part in rows.unpack(packed[:, 2:4]).items():
        assert part.dtype == parts[name].dtype
        assert torch.equal(part, parts[name][:, 2:4])


def test_numbers_draw_rows_of_each_replica_or_of_all():
    rows = torch.arange(12).view(2, 3, 2)
    chance = torch.tensor([[0.99], [0.0]])
    assert drawn(rows, chance).tolist() == [[[4, 5]], [[6, 7]]]
    assert drawn(rows, chance, 2).tolist() == [[[2, 3]], [[6, 7]]]
    assert drawn(rows[:1], chance).tolist() == [[[4, 5]], [[0, 1]]]
