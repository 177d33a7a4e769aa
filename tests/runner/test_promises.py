from dataclasses import replace

import pytest
import torch

from marlrun.runner.promises import (
    ContractError,
    check_action,
    check_allowed,
    check_leaving,
    check_metrics,
    check_step,
)
from marlrun.types import Spec, Step

SPEC = Spec(3, ("a", "b", "c"), (5, 4, 5), (2, 3, 2), horizon=10, discount=1.0)
MASKS = replace(SPEC, has_action_mask=True)
LEAVERS = replace(SPEC, agents_leave=True)
ALL_LIVE = torch.ones(2, 4, 3, dtype=torch.bool)
B_LEFT = torch.tensor([True, False, True]).expand(2, 4, 3)


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
        "state": torch.zeros(2, 4, 7),
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
            {"alive": ALL_LIVE},
            "MyEnv.step: alive is no None, but a Tensor, though spec.agents_leave is False (types.Spec)",
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


def test_masks_and_leavers_are_where_the_spec_says_so():
    both = replace(MASKS, agents_leave=True)
    mask = torch.ones(2, 4, 3, 3, dtype=torch.bool)
    check(step(alive=ALL_LIVE, action_mask=mask), both)
    for field, spec_field in (("alive", "agents_leave"), ("action_mask", "has_action_mask")):
        given = step(alive=ALL_LIVE, action_mask=mask)._replace(**{field: None})
        with pytest.raises(ContractError) as refused:
            check(given, both)
        line = f"MyEnv.step: {field} is None, though spec.{spec_field} is True (types.Spec)"
        assert str(refused.value) == line


NEAR = replace(SPEC, has_adjacency=True)


def test_nearness_is_mutual_and_where_the_spec_says_so():
    alike = some([0, 1, 0], [1, 0, 1], [0, 1, 0])
    check(step(adjacency=alike), NEAR)
    wrong = {
        "is None, though spec.has_adjacency is True (types.Spec)": None,
        "says that a is near c, or only the other way round, "
        "expected a symmetric one with a diagonal of False (types.Step)": some(
            [0, 1, 1], [1, 0, 1], [0, 1, 0]
        ),
        "says that b is near itself, "
        "expected a symmetric one with a diagonal of False (types.Step)": some(
            [0, 1, 0], [1, 1, 1], [0, 1, 0]
        ),
    }
    for end, adjacency in wrong.items():
        with pytest.raises(ContractError) as refused:
            check(step(adjacency=adjacency), NEAR)
        assert str(refused.value) == f"MyEnv.step: adjacency {end}"
    with pytest.raises(
        ContractError, match="adjacency is no None, but a Tensor, though spec.has_a"
    ):
        check(step(adjacency=alike))


def some(*rows):
    """Return a mask [2, 4, 3, 3] of these rows, one for each agent."""
    return torch.tensor(rows, dtype=torch.bool).expand(2, 4, 3, 3)


def test_who_lives_may_do_something():
    mask = some([1, 0, 0], [0, 0, 1], [0, 1, 0])
    check(step(action_mask=mask), MASKS)
    # a and c have two actions: what the third says means nothing.
    stuck = step(action_mask=some([0, 0, 1], [0, 0, 1], [0, 1, 0]))
    line = "MyEnv.step: action_mask allows a nothing, expected an action for each agent that lives"
    with pytest.raises(ContractError, match=line):
        check(stuck, MASKS)
    ended = torch.ones(2, 4, dtype=torch.bool)
    check(stuck._replace(terminated=ended), MASKS)
    with pytest.raises(ContractError, match=line):
        check(stuck._replace(truncated=ended), MASKS)
    both = replace(MASKS, agents_leave=True)
    check(stuck._replace(alive=torch.tensor([False, True, True]).expand(2, 4, 3)), both)
    with pytest.raises(ContractError, match=line):
        check(stuck._replace(alive=B_LEFT), both)


def test_all_live_where_an_episode_begins():
    check(step(alive=B_LEFT), LEAVERS)
    line = "b does not live where an episode begins, expected all agents"
    with pytest.raises(ContractError, match=line):
        check(step(alive=B_LEFT, first=torch.ones(2, 4, dtype=torch.bool)), LEAVERS)


def test_who_has_left_stays_away_and_is_not_paid():
    paid = torch.tensor([0.0, 0.5, 0.0]).expand(2, 4, 3)
    before, left = step(alive=ALL_LIVE), step(alive=B_LEFT)
    check_leaving(step(), step(), SPEC, "MyEnv.step")
    check_leaving(before, left._replace(reward=paid), LEAVERS, "MyEnv.step")
    check_leaving(left, left, LEAVERS, "MyEnv.step")
    wrong = {
        "MyEnv.step: b is back, expected that who has left stays away until the episode ends "
        "(types.Step)": before,
        "MyEnv.step: reward of b is 0.5, expected 0 after the step in which it left "
        "(types.Step)": left._replace(reward=paid),
    }
    for line, after in wrong.items():
        with pytest.raises(ContractError) as refused:
            check_leaving(left, after, LEAVERS, "MyEnv.step")
        assert str(refused.value) == line


def test_who_lives_does_what_is_allowed():
    given = step(action_mask=some([1, 0, 0], [0, 0, 1], [0, 1, 0]))
    check_allowed(torch.tensor([0, 2, 1]).expand(2, 4, 3), given, MASKS)
    action = torch.tensor([0, 1, 1]).expand(2, 4, 3)
    with pytest.raises(ContractError) as refused:
        check_allowed(action, given, MASKS)
    line = "policy: action of b is 1, expected one that action_mask allows (types.Policy)"
    assert str(refused.value) == line
    check_allowed(action, given._replace(alive=B_LEFT), MASKS)


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
