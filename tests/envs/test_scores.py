"""Returns so far are kept from the first picture on, and are not made up before."""

from math import isnan

import torch

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.scores import Scores


class Game:
    """A game of one replica, two copies and two agents, whose rewards a test chooses."""

    def __init__(self, horizon: int):
        self.obs = torch.zeros(1, 2, 2, 1)
        self.episodes = Episodes(self.obs, horizon)
        self.scores = Scores(self.episodes)
        self.episodes.tick()
        self.restart(self.episodes.over)

    def step(self, reward: list[list[float]], terminated=(False, False)):
        self.episodes.tick()
        numbers, ends = torch.tensor([reward]), torch.tensor([terminated])
        return self.scores.add(self.episodes.after(self.obs, numbers, ends))

    def restart(self, step):
        return self.scores.begin(self.episodes.begin(step, self.obs))


def test_returns_add_up_and_begin_again_with_an_episode():
    game = Game(horizon=3)
    assert game.scores.look(0, 0) == (0, [0, 0], False)
    game.step([[1, 2], [4, 8]])
    after = game.step([[1, 2], [4, 8]], terminated=(False, True))
    assert game.scores.look(0, 0) == (2, [2, 4], False)
    assert game.scores.look(0, 1) == (2, [8, 16], True)
    game.restart(after)
    assert game.scores.look(0, 0) == (2, [2, 4], False)
    assert game.scores.look(0, 1) == (0, [0, 0], False)
    game.step([[1, 2], [4, 8]])
    assert game.scores.look(0, 0) == (3, [3, 6], False)
    assert game.scores.look(0, 1) == (1, [4, 8], False)


def test_what_was_before_the_first_picture_is_not_known():
    game = Game(horizon=2)
    game.step([[1, 1], [1, 1]])
    moment = game.scores.look(0, 0)
    assert moment.step == 1 and all(map(isnan, moment.returns))
    after = game.step([[1, 1], [1, 1]])
    assert all(map(isnan, game.scores.look(0, 0).returns))
    game.restart(after)
    game.step([[1, 3], [1, 1]])
    assert game.scores.look(0, 0) == (1, [1, 3], False)


def test_a_loaded_state_forgets_the_returns():
    game = Game(horizon=3)
    game.scores.look(0, 0)
    game.step([[1, 1], [1, 1]], terminated=(True, True))
    game.scores.forget()
    moment = game.scores.look(0, 0)
    assert all(map(isnan, moment.returns)) and not moment.terminated


def test_steps_that_were_returned_stay_as_they_are():
    game = Game(horizon=3)
    game.scores.look(0, 0)
    step = game.step([[1, 2], [4, 8]])
    game.step([[1, 2], [4, 8]])
    assert step.reward.tolist() == [[[1, 2], [4, 8]]]
    assert game.episodes.over.reward.tolist() == [[[0, 0], [0, 0]]]
