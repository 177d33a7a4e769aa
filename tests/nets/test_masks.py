"""What critics and policies see of agents who observe different numbers, and have other actions."""

import torch

from marlrun.nets.features import joint_observation, own_observation
from marlrun.nets.masks import masked, missing_actions, missing_features
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
