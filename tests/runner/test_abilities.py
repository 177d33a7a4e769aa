"""What a learner handles, also where a function builds it."""

from marlrun.algos.imitation.learner import Imitation
from marlrun.algos.random import Random
from marlrun.runner.abilities import learner_class


def test_a_function_has_the_abilities_of_the_class_that_it_returns():
    assert learner_class("marlrun.algos.ma_airl.ma_airl", ()) is Imitation
    assert learner_class("marlrun.algos.random.Random", ()) is Random
