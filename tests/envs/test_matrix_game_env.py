"""matrix_game pays what its tables say."""

from itertools import product

import pytest
import torch
from envs.games import make


@pytest.mark.parametrize(
    ("game", "paid"),
    [
        ("climb", {(0, 0): (11, 11), (0, 1): (-30, -30), (1, 2): (6, 6), (2, 1): (0, 0)}),
        ("penalty", {(0, 2): (-10, -10), (1, 1): (2, 2), (2, 2): (10, 10)}),
        ("coordination", {(0, 0): (2, 2), (1, 1): (1, 1), (1, 0): (0, 0)}),
        (
            "prisoners_dilemma",
            {(0, 0): (-1, -1), (0, 1): (-3, 0), (1, 0): (0, -3), (1, 1): (-2, -2)},
        ),
        ("matching_pennies", {(0, 0): (1, -1), (0, 1): (-1, 1), (1, 1): (1, -1)}),
    ],
)
def test_named_games(game, paid):
    env = make("matrix_game", game=game)
    for actions, rewards in paid.items():
        env.reset()
        after = env.step(torch.tensor([[actions]]))
        assert after.reward.tolist() == [[list(rewards)]]
        assert after.terminated.all() and not after.truncated.any()
        assert after.obs.tolist() == [[[[1], [1]]]]


def test_agents_may_have_unequal_numbers_of_actions():
    """Three agents with 2, 3 and 2 actions; agent i is paid i * 100 + the digits of the action."""
    table = [
        [[[100 * i + 9 * a + 3 * b + c for c in range(2)] for b in range(3)] for a in range(2)]
        for i in range(3)
    ]
    env = make("matrix_game", payoff=table, num_envs=12)
    assert env.spec.num_actions == (2, 3, 2)
    env.reset()
    joint = torch.tensor(list(product(range(2), range(3), range(2))))
    after = env.step(joint.unsqueeze(0))
    expected = joint @ torch.tensor([9, 3, 1])
    assert after.reward[0].tolist() == [[n, 100 + n, 200 + n] for n in expected.tolist()]


def test_the_last_round_ends_the_game():
    env = make("matrix_game", horizon=3)
    env.reset()
    ends = [env.step(torch.zeros(1, 1, 2, dtype=torch.int64)).terminated.item() for _ in range(3)]
    assert ends == [False, False, True]


def test_replicas_and_copies_are_paid_apart():
    env = make("matrix_game", 0, 1, num_envs=2)
    env.reset()
    actions = torch.tensor([[[0, 0], [1, 1]], [[2, 2], [1, 2]]])
    assert env.step(actions).reward[..., 0].tolist() == [[11, 7], [5, 6]]


@pytest.mark.parametrize(
    ("key", "value"), [("game", "chess"), ("payoff", [[1, 2], [3]]), ("payoff", [1, 2])]
)
def test_refuses_what_is_no_game(key, value):
    with pytest.raises(ValueError, match=rf"^env\.{key}[^\n]*expected[^\n]*$"):
        make("matrix_game", **{key: value})
