"""Who does nothing that it sees: its discriminator learns nothing unless it sees actions."""

import pytest
import torch
from envs.games import make
from runner.fakes import Foreign, Masked, Walk

from marlrun.runner.influence import check_signal, traceless

CPU = torch.device("cpu")


class Delayed(Walk):
    """What is done shows two steps later, and only to the agent on the left."""

    def __init__(self, *args, **keys):
        super().__init__(*args, **keys)
        self.shown = [torch.zeros_like(self.places)] * 3

    def _obs(self):
        self.shown = [*self.shown[1:], self.places]
        obs = torch.stack((self.shown[0], self.shown[0]), -1).float()
        obs[..., 1, :] = 0
        return obs

    def state_dict(self):
        return super().state_dict() | {"shown": list(self.shown)}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.shown = list(state["shown"])


class Judge:
    """A learner whose discriminators see no actions."""

    def __init__(self, view="own"):
        self.judged_view = view


@pytest.mark.parametrize("rules", ["mpe2", "ma_airl"])
def test_the_speaker_never_sees_what_it_says(rules):
    env = make("speaker_listener", rules=rules, num_envs=16)
    assert traceless(env, [0], "own") == ["speaker_0"]
    assert traceless(env, [0], "all") == []


@pytest.mark.parametrize("name", ["spread", "push", "target_capture", "meeting_grid"])
def test_who_moves_sees_it(name):
    assert traceless(make(name, num_envs=16), [0], "own") == []


def test_a_trace_may_come_late_and_masked_actions_are_not_tried():
    env = Delayed([0], CPU, num_envs=16, goal=9, horizon=9)
    assert traceless(env, [0], "own") == ["right"] and traceless(env, [0], "all") == ["right"]
    assert traceless(Masked([0], CPU, num_envs=16), [0], "own") == []


def check(learner, target, **keys):
    check_signal(learner, {"_target_": target, "num_envs": 1, **keys}, [3, 4], CPU, ["runner"])


def test_some_are_named_and_a_game_of_only_such_agents_is_refused(capsys):
    delayed = "runner.test_influence.Delayed"
    check(Judge(), delayed, horizon=9)
    assert capsys.readouterr().err == (
        "marlrun: algo.discriminator.inputs=state: no action of right changes what it observes, "
        "so its discriminator stays at chance: choose inputs=state_action, "
        "or report the rewards of the other agents alone\n"
    )
    matrix = "marlrun.envs.matrix_game.MatrixGame"
    keys = {"game": "climb", "payoff": None, "horizon": 1, "discount": 1.0}
    for view, whom in (("own", "it observes"), ("all", "anybody observes")):
        with pytest.raises(ValueError) as refusal:
            check(Judge(view), matrix, **keys)
        assert str(refusal.value) == (
            "algo.discriminator.inputs=state: no action of agent_0, agent_1 changes what "
            f"{whom}, so discriminators learn nothing: expected inputs=state_action"
        )
    check(Judge(None), matrix, **keys)
    check(object(), matrix, **keys)
    assert capsys.readouterr().err == ""


def test_a_game_whose_state_cannot_be_saved_is_not_tried(capsys, monkeypatch):
    monkeypatch.setattr(Foreign, "step", None)
    check(Judge(), "runner.fakes.Foreign")
    assert capsys.readouterr().err == ""
