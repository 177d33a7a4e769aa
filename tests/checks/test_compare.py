import pytest
import torch

from marlrun.checks.compare import copied, difference, part_of
from marlrun.types import Step

TENSOR = torch.tensor([[1.0, 2.0], [3.0, torch.nan]])


def test_the_same_has_no_difference():
    tree = {"a": TENSOR, "b": [1, None, "x"]}
    assert difference(tree, copied(tree), "here, ") == ""
    assert copied(tree)["a"].data_ptr() != TENSOR.data_ptr()


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        ({"a": TENSOR}, {"a": TENSOR + 1}, "here, a[0, 0]: expected 1.0, got 2.0"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "here, a.b: expected 1, got 2"),
        ([1, True], [1, 1], "here, 1: expected True, got 1"),
        (TENSOR, TENSOR[0], "here, : expected torch.float32 [2, 2], got torch.float32 [2]"),
        ({"a": 1}, {"b": 1}, "here, missing: a; unexpected: b"),
        ({}, dict.fromkeys("abcde"), "here, unexpected: a, b, c and 2 more"),
    ],
)
def test_the_first_difference_is_named(one, other, text):
    assert difference(one, other, "here, ") == text


def test_a_step_is_told_by_its_fields():
    no = torch.zeros(1, 1, dtype=torch.bool)
    step = Step(no, torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1), no, no)
    other = step._replace(reward=step.reward + 0.5)
    assert difference(step, other, "") == "reward[0, 0, 0]: expected 0.0, got 0.5"


def test_a_tolerance_is_absolute_and_relative():
    assert difference(torch.tensor([100.0]), torch.tensor([100.0005]), "", 1e-5) == ""
    assert difference(torch.tensor([100.0]), torch.tensor([100.01]), "", 1e-5) != ""


def test_a_part_is_cut_out_where_the_replicas_are():
    rows = torch.arange(12).view(6, 2)
    company = {
        "of_members": rows,
        "second": rows.T,
        "clock": 7,
        "shared": TENSOR,
        "flat": rows.flatten(),
    }
    alone = {
        "of_members": torch.zeros(2, 2),
        "second": torch.zeros(2, 2),
        "clock": 0,
        "shared": torch.zeros(2, 2),
        "flat": torch.zeros(5),
    }
    part = part_of(company, alone, 1, 3)
    assert torch.equal(part["of_members"], rows[2:4])
    assert torch.equal(part["second"], rows.T[:, 2:4])
    assert part["clock"] == 7 and part["shared"] is TENSOR
    # Laid out in another way: nothing to compare.
    assert part["flat"] is alone["flat"]
