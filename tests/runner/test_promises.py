from dataclasses import replace

import pytest
import torch

from marlrun.runner.promises import ContractError, check_action, check_metrics, check_step
from marlrun.types import Spec, Step

SPEC = Spec(3, ("a", "b", "c"), (5, 4, 5), (2, 3, 2), horizon=10, discount=1.0)


def step(**changes):
    """Return a good step of 2 replicas, 4 copies, 3 agents, but for some fields."""
    no = torch.zeros(2, 4, dtype=torch.bool)
    good = Step(no, torch.zeros(2, 4, 3, 5), torch.zeros(2, 4, 3), no, no)
    return good._replace(**changes)


def check(value, spec=SPEC):
    check_step(value, spec, 2, 4, "MyEnv.step")


def test_a_good_step_passes_with_and_without_what_may_be_left_out():
    check(step())
    optional = {
        "alive": torch.ones(2, 4, 3, dtype=torch.bool),
        "action_mask": torch.ones(2, 4, 3, 3, dtype=torch.bool),
        "state": torch.zeros(2, 4, 7),
        "adjacency": torch.ones(2, 4, 3, 3, dtype=torch.bool),
        "task": torch.zeros(2, 4, dtype=torch.int64),
    }
    check(step(**optional))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"reward": torch.zeros(2, 4)},
            "MyEnv.step: reward has shape [2, 4], expected [R, E, N] = [2, 4, 3] (types.Step)",
        ),
        (
            {"obs": torch.zeros(2, 4, 3, 4)},
            "MyEnv.step: obs has shape [2, 4, 3, 4], "
            "expected [R, E, N, O] = [2, 4, 3, 5] (types.Step)",
        ),
        (
            {"reward": torch.zeros(2, 4, 3, dtype=torch.float64)},
            "MyEnv.step: reward has dtype float64, expected float32 (types.Step)",
        ),
        (
            {"terminated": torch.zeros(2, 4)},
            "MyEnv.step: terminated has dtype float32, expected bool (types.Step)",
        ),
        (
            {"truncated": None},
            "MyEnv.step: truncated is None, expected [R, E] = [2, 4] (types.Step)",
        ),
        (
            {"first": [True] * 4},
            "MyEnv.step: first is a list, expected [R, E] = [2, 4] (types.Step)",
        ),
        (
            {"action_mask": torch.ones(2, 4, 3, 2, dtype=torch.bool)},
            "MyEnv.step: action_mask has shape [2, 4, 3, 2], "
            "expected [R, E, N, A] = [2, 4, 3, 3] (types.Step)",
        ),
        (
            {"state": torch.zeros(2, 7)},
            "MyEnv.step: state has shape [2, 7], expected [R, E, S] = [2, 4, any] (types.Step)",
        ),
    ],
)
def test_a_wrong_step_is_one_sentence(changes, message):
    with pytest.raises(ContractError) as refused:
        check(step(**changes))
    assert str(refused.value) == message


def test_a_one_hot_state_has_the_size_that_the_spec_says():
    spec = replace(SPEC, num_states=6)
    check(step(state=torch.zeros(2, 4, 6)), spec)
    with pytest.raises(ContractError, match=r"expected \[R, E, S\] = \[2, 4, 6\]"):
        check(step(state=torch.zeros(2, 4, 7)), spec)


def test_what_is_no_step_is_named():
    with pytest.raises(ContractError) as refused:
        check((1, 2))
    assert str(refused.value) == "MyEnv.step returned a tuple, expected a Step (types.Step)"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            torch.zeros(2, 3, dtype=torch.int64),
            "policy: action has shape [2, 3], expected [R, E, N] = [2, 4, 3] (types.Policy)",
        ),
        (
            torch.zeros(2, 4, 3),
            "policy: action has dtype float32, expected int64 (types.Policy)",
        ),
        (
            torch.full((2, 4, 3), 2),
            "policy: action of a is 2, expected 0 to 1 (types.Policy)",
        ),
        (
            torch.tensor([0, -1, 0]).expand(2, 4, 3),
            "policy: action of b is -1, expected 0 to 2 (types.Policy)",
        ),
    ],
)
def test_a_wrong_action_is_one_sentence(action, message):
    with pytest.raises(ContractError) as refused:
        check_action(action, SPEC, 2, 4)
    assert str(refused.value) == message


def test_each_agent_may_take_its_last_action():
    check_action(torch.tensor([1, 2, 1]).expand(2, 4, 3), SPEC, 2, 4)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            {"loss": torch.zeros(())},
            "update: loss has shape [], expected [R] = [2] or [R, N] = [2, 3] (types.Metrics)",
        ),
        (
            {"fine": torch.zeros(2), "loss": torch.zeros(3, 2)},
            "update: loss has shape [3, 2], expected [R] = [2] or [R, N] = [2, 3] (types.Metrics)",
        ),
        (
            {"loss": 0.5},
            "update: loss is a float, expected [R] = [2] or [R, N] = [2, 3] (types.Metrics)",
        ),
        (None, "update returned None, expected a dict (types.Metrics)"),
    ],
)
def test_wrong_metrics_are_one_sentence(metrics, message):
    with pytest.raises(ContractError) as refused:
        check_metrics(metrics, 2, 3)
    assert str(refused.value) == message


def test_metrics_per_replica_and_per_agent_pass():
    check_metrics({"loss": torch.zeros(2), "q": torch.zeros(2, 3)}, 2, 3)
    check_metrics({}, 2, 3)
