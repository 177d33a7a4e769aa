"""Our games pass PettingZoo's own tests, as parallel games and agent by agent."""

from functools import partial

import pytest
from envs.games import EXPORT_IDS, EXPORTS
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)
from pettingzoo.test.state_test import state_test
from pettingzoo.utils.conversions import parallel_to_aec

from marlrun.envs.pettingzoo import parallel_env

pytestmark = [
    pytest.mark.parametrize(("name", "changes"), EXPORTS, ids=EXPORT_IDS),
    # What PettingZoo finds unusual, and is as it should be: agents that differ, as mpe2 names them,
    # in worlds without borders; a game with one observation; cells without walls.
    pytest.mark.filterwarnings(
        "ignore:Agent's m.* observation space value is -?infinity",
        "ignore:Environment's m.* state space value is -?infinity",
        "ignore:Agents have different observation space sizes",
        "ignore:Observations are different shapes",
        "ignore:We recommend agents to be named",
        "ignore:Observation is a single number",
        "ignore:Observation numpy array is all zeros",
    ),
]


def turn_based(name, changes, render_mode=None):
    """Return a game in which the agents act one after the other; PettingZoo asks for `human` too."""
    mode = None if render_mode == "human" else render_mode
    return parallel_to_aec(parallel_env(name, render_mode=mode, **changes))


def test_parallel_api(name, changes):
    parallel_api_test(parallel_env(name, **changes), num_cycles=100)


def test_parallel_seed(name, changes):
    parallel_seed_test(lambda: parallel_env(name, **changes), num_cycles=100)


def test_api(name, changes):
    api_test(turn_based(name, changes), num_cycles=50)


def test_seed(name, changes):
    seed_test(partial(turn_based, name, changes), num_cycles=50)


def test_render(name, changes):
    render_test(partial(turn_based, name, changes))


def test_state(name, changes):
    state_test(turn_based(name, changes), parallel_env(name, **changes))
