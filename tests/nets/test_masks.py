"""What critics and policies see of agents who observe different numbers, and have other actions."""

import torch

from marlrun.nets.features import joint_observation, own_observation
from marlrun.nets.masks import (
    forbidden_actions,
    masked,
    missing_actions,
    missing_features,
    uniform_action,
)
from marlrun.nets.policies import Actor, PolicySettings
from marlrun.ops.average_reward import score
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
SPEC = Spec(2, ("a", "b"), (3, 1), (2, 4), horizon=6, discount=1.0)
EQUAL = Spec(2, ("a", "b"), (3, 3), (4, 4), horizon=6, discount=1.0)
OBS = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, torch.nan, 9.0]]]])
NO = torch.zeros(1, 1, dtype=torch.bool)
STEP = Step(NO, OBS, torch.zeros(1, 1, 2), NO, NO)


def test_masks_by_hand():
    assert missing_features(SPEC, CPU).tolist() == [[False] * 3, [False, True, True]]
    assert missing_actions(SPEC, CPU).tolist() == [[False, False, True, True], [False] * 4]


def test_what_an_agent_lacks_is_forbidden_whatever_its_mask_says():
    assert forbidden_actions(STEP, missing_actions(SPEC, CPU)) is None
    allowed = torch.tensor([[[[1, 0, 1, 0], [1, 0, 1, 0]]]]).bool()
    step = STEP._replace(action_mask=allowed)
    expected = [[[[0, 1, 1, 1], [0, 1, 0, 1]]]]
    assert forbidden_actions(step, missing_actions(SPEC, CPU)).int().tolist() == expected
    assert torch.equal(forbidden_actions(step, None), ~allowed)


def test_numbers_choose_uniformly_among_what_is_allowed():
    numbers = torch.tensor([0.0, 0.24, 0.25, 0.5, 0.75, 1 - 2.0**-24])

    def chosen(*forbidden):
        return uniform_action(numbers, torch.tensor(forbidden).bool().expand(6, 4)).tolist()

    assert chosen(0, 0, 0, 0) == [0, 0, 1, 2, 3, 3]
    assert chosen(1, 0, 1, 0) == [1, 1, 1, 3, 3, 3]
    assert chosen(1, 1, 0, 1) == [2] * 6
    assert chosen(1, 1, 1, 1) == [0] * 6


def test_agents_that_are_alike_need_no_mask_and_cost_no_copy():
    assert missing_features(EQUAL, CPU) is None and missing_actions(EQUAL, CPU) is None
    assert masked(OBS, None, 0.0) is OBS
    assert own_observation(EQUAL, CPU)(STEP) is OBS


def test_nobody_sees_what_stands_in_the_padding():
    assert own_observation(SPEC, CPU)(STEP).tolist() == [[[[1, 2, 3], [4, 0, 0]]]]
    assert joint_observation(SPEC, CPU)(STEP).tolist() == [[[1, 2, 3, 4, 0, 0]]]
    actor = Actor(SPEC, [0], CPU, PolicySettings("neural", 5, [6], None))
    assert actor.sight(STEP).tolist() == [[[[1, 2, 3], [4, 0, 0]]]]


def test_policies_learn_nothing_of_actions_that_an_agent_lacks():
    actor = Actor(SPEC, [0], CPU, PolicySettings("neural", 5, [], None))
    pi, tape = actor.probabilities(torch.randn(1, 1, 2, 3))
    scores = score(torch.tensor([[[1, 3]]]), pi)
    assert (pi[..., 0, 2:] == 0).all() and (scores[..., 0, 2:] == 0).all()
    # A linear policy's rows are [inputs and bias, actions].
    first, second = actor.gradient(tape, scores)[0].view(2, 4, 4)
    assert (first[:, 2:] == 0).all() and (first[:, :2] != 0).all() and (second != 0).all()
