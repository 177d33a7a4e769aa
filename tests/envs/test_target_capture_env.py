"""target_capture against the fact sheet: hand-worked episodes and counted chances."""

from itertools import product

import pytest
import torch
from envs.games import assert_equal, assert_frequency, make, play
from torch import Tensor

NORTH, EAST, SOUTH, WEST, WAIT = range(5)
MANY = 40_000


def game(*seeds: int, **changes):
    return make(
        "target_capture", *seeds, **({"size": 5, "slip": 0.0, "motion": "static"} | changes)
    )


def put(env, agents, targets) -> None:
    """Place agents and targets, lists of (x, y), in all copies of all replicas."""
    size = env._size
    state = env.state_dict()
    number = [y * size + x for x, y in targets]
    rows = [[y * size + x, *number] for x, y in agents]
    state["cells"][:] = torch.tensor(rows)
    env.load_state_dict(state)


def where(env, obs: Tensor) -> Tensor:
    """Undo the observation's scale: obs [.., O] -> [.., 1 + K, 2], as (x, y)."""
    size = env._size
    cells = obs.unflatten(-1, (-1, 2)) * size + (size - 1) / 2
    assert torch.allclose(cells, cells.round(), atol=1e-4)
    return cells.round().long()


def act(env, *actions: int):
    """Play the same actions in all copies."""
    shape = (*env._cells.shape[:2], 1)
    return env.step(torch.tensor(actions).repeat(shape))


@pytest.mark.parametrize(
    ("action", "ahead", "left", "right"),
    [
        (NORTH, (2, 3), (1, 2), (3, 2)),
        (EAST, (3, 2), (2, 3), (2, 1)),
        (SOUTH, (2, 1), (3, 2), (1, 2)),
        (WEST, (1, 2), (2, 1), (2, 3)),
    ],
)
def test_a_move_slips_to_each_side_as_often_as_said(action, ahead, left, right):
    env = game(num_agents=1, slip=0.1, num_envs=MANY)
    env.reset()
    put(env, [(2, 2)], [(0, 0)])
    landed = where(env, act(env, action).obs)[0, :, 0, 0]
    shares = {ahead: 0.8, left: 0.1, right: 0.1}
    for cell in product(range(5), repeat=2):
        hits = (landed == torch.tensor(cell)).all(-1)
        if cell in shares:
            assert_frequency(hits, shares[cell])
        else:
            assert not hits.any()


def test_agents_slip_independently():
    env = game(slip=0.25, num_envs=MANY)
    env.reset()
    put(env, [(2, 2), (2, 2)], [(0, 0)])
    landed = where(env, act(env, NORTH, NORTH).obs)[0, :, :, 0]
    straight = (landed == torch.tensor((2, 3))).all(-1)
    assert_frequency(straight[:, 0] & straight[:, 1], 0.25)


def test_waiting_never_slips():
    env = game(slip=0.5, num_envs=1000)
    env.reset()
    put(env, [(2, 2), (4, 0)], [(0, 0)])
    landed = where(env, act(env, WAIT, WAIT).obs)[0, :, :, 0]
    assert (landed == torch.tensor([(2, 2), (4, 0)])).all()


def test_the_world_is_round():
    env = game()
    env.reset()
    put(env, [(0, 4), (4, 0)], [(2, 2)])
    assert where(env, act(env, NORTH, EAST).obs)[0, 0, :, 0].tolist() == [[0, 0], [0, 0]]
    assert where(env, act(env, WEST, SOUTH).obs)[0, 0, :, 0].tolist() == [[4, 0], [0, 4]]


@pytest.mark.parametrize(
    ("motion", "cell"), [("static", (4, 3)), ([1, 0], (0, 3)), ([-1, 2], (3, 0)), ([7, -6], (1, 2))]
)
def test_a_target_drifts_as_told(motion, cell):
    env = game(motion=motion)
    env.reset()
    put(env, [(0, 0), (1, 1)], [(4, 3)])
    seen = where(env, act(env, WAIT, WAIT).obs)[0, 0]
    assert seen.tolist() == [[[0, 0], list(cell)], [[1, 1], list(cell)]]


def test_random_targets_take_each_direction_independently():
    env = game(motion="random", targets="each", num_envs=MANY)
    env.reset()
    put(env, [(0, 0), (0, 0)], [(2, 2), (2, 2)])
    obs = where(env, act(env, WAIT, WAIT).obs)[0]
    assert torch.equal(obs[:, 0, 1:], obs[:, 1, 1:])
    around = [(2, 3), (3, 2), (2, 1), (1, 2)]
    for one, other in product(around, repeat=2):
        hits = (obs[:, 0, 1:] == torch.tensor([one, other])).all(-1).all(-1)
        assert_frequency(hits, 1 / 16)


@pytest.mark.parametrize(
    ("agent", "action", "captured"),
    [
        ((3, 2), WAIT, True),  # the target comes to whoever waits where it goes
        ((2, 2), WAIT, False),  # and leaves whoever waits where it was
        ((2, 2), EAST, True),  # moving along with it
        ((3, 2), WEST, False),  # changing places is no capture
        ((3, 1), NORTH, True),
        ((2, 1), NORTH, False),
    ],
)
def test_what_counts_is_where_both_stand_after_the_step(agent, action, captured):
    env = game(motion=[1, 0], num_agents=1)
    env.reset()
    put(env, [agent], [(2, 2)])
    after = act(env, action)
    assert after.terminated.item() == captured and after.reward.item() == captured


def test_all_agents_must_be_on_the_one_target():
    env = game(num_agents=3)
    env.reset()
    put(env, [(2, 2), (2, 2), (2, 1)], [(2, 2)])
    after = act(env, WAIT, WAIT, WAIT)
    assert not after.terminated.item() and not after.reward.any()
    after = act(env, WAIT, WAIT, NORTH)
    assert after.terminated.item() and after.reward.tolist() == [[[1, 1, 1]]]


def test_each_agent_has_its_own_target():
    env = game(targets="each")
    env.reset()
    put(env, [(1, 1), (3, 3)], [(3, 3), (1, 1)])
    assert not act(env, WAIT, WAIT).terminated.item(), "the targets of each other"
    put(env, [(3, 3), (3, 3)], [(3, 3), (1, 1)])
    assert not act(env, WAIT, WAIT).terminated.item(), "only one on its own"
    put(env, [(3, 3), (1, 1)], [(3, 3), (1, 1)])
    assert act(env, WAIT, WAIT).reward.tolist() == [[[1, 1]]]


def test_an_episode_by_hand():
    """3 x 3, the target runs east: (0, 0), (1, 0), (2, 0), then round to (0, 0)."""
    env = game(size=3, motion=[1, 0], horizon=3)
    env.reset()
    put(env, [(2, 2), (0, 1)], [(0, 0)])
    third = 1 / 3
    after = act(env, SOUTH, SOUTH)
    seen = [third, 0, 0, -third, -third, -third, 0, -third]
    assert after.obs.flatten().tolist() == pytest.approx(seen)
    assert not after.reward.any() and not after.done.any()
    after = env.step(torch.tensor([[[SOUTH, WEST]]]))
    assert after.obs.flatten().tolist() == pytest.approx([third, -third] * 4)
    assert after.reward.tolist() == [[[1, 1]]]
    assert after.terminated.item() and not after.truncated.item()


@pytest.mark.parametrize("captured_at", [2, 3, None])
def test_the_clock_runs_out_unless_the_task_is_done(captured_at):
    env = game(num_agents=1, horizon=3)
    env.reset()
    put(env, [(0, 0)], [(2, 2)])
    for time in (1, 2, 3):
        if time == captured_at:
            put(env, [(2, 2)], [(2, 2)])
        after = act(env, WAIT)
        assert after.terminated.item() == (time == captured_at)
        assert after.truncated.item() == (time == 3 and captured_at is None)
        if after.done.item():
            break


def test_a_copy_has_a_clock_of_its_own():
    env = game(num_agents=1, horizon=4, num_envs=2)
    env.reset()
    put(env, [(0, 0)], [(1, 0)])
    step = env.restart(env.step(torch.tensor([[[EAST], [WAIT]]])))
    assert step.first.tolist() == [[True, False]]
    put(env, [(0, 0)], [(2, 2)])
    ends = []
    for _ in range(4):
        after = act(env, WAIT)
        ends.append(after.truncated[0].tolist())
        env.restart(after)
        put(env, [(0, 0)], [(2, 2)])
    assert ends == [[False, False], [False, False], [False, True], [True, False]]


def test_starts_are_uniform_and_standing_on_the_target_is_no_end():
    env = game(size=3, num_agents=1, num_envs=MANY)
    step = env.reset()
    cells = where(env, step.obs)[0, :, 0]
    for agent, target in product(product(range(3), repeat=2), repeat=2):
        assert_frequency((cells == torch.tensor([agent, target])).all(-1).all(-1), 1 / 81)
    assert not step.terminated.any() and not step.reward.any()


def test_restarts_are_uniform_too():
    env = game(size=3, num_agents=1, num_envs=MANY, horizon=1)
    first = where(env, env.reset().obs)[0, :, 0, 0]
    again = where(env, env.restart(act(env, WAIT)).obs)[0, :, 0, 0]
    for old, new in product(product(range(3), repeat=2), repeat=2):
        hits = (first == torch.tensor(old)).all(-1) & (again == torch.tensor(new)).all(-1)
        assert_frequency(hits, 1 / 81)


def test_a_start_has_nothing_to_do_with_the_slip_before_it():
    env = game(num_agents=1, slip=0.25, horizon=1, num_envs=MANY)
    env.reset()
    put(env, [(2, 2)], [(0, 0)])
    after = act(env, NORTH)
    straight = where(env, after.obs)[0, :, 0, 0, 0] == 2
    column = where(env, env.restart(after).obs)[0, :, 0, 0, 0]
    for x in range(5):
        assert_frequency(straight & (column == x), 0.5 / 5)


@pytest.mark.parametrize("moment", ["first", "later", "restarted"])
def test_flicker_hides_all_targets_from_one_agent(moment):
    env = game(size=4, targets="each", flicker=0.3, num_envs=MANY, horizon=2)
    step = env.reset()
    if moment != "first":
        step = act(env, NORTH, EAST)
    if moment == "restarted":
        step = env.restart(act(env, WAIT, WAIT))
        step = step._replace(obs=step.obs[:, step.first[0]])
    own, targets = step.obs[0, ..., :2], step.obs[0, ..., 2:]
    assert own.all(), "with an even size no coordinate is 0"
    hidden = (targets == 0).all(-1)
    assert torch.equal(hidden, (targets == 0).any(-1))
    assert_frequency(hidden[:, 0], 0.3)
    assert_frequency(hidden[:, 1], 0.3)
    assert_frequency(hidden.all(-1), 0.09)


def test_flicker_changes_what_is_seen_and_nothing_else():
    clear, dim = game(flicker=0.0), game(flicker=1.0)
    steps = [(env.reset(), *(act(env, EAST, NORTH) for _ in range(20))) for env in (clear, dim)]
    for seen, hidden in zip(*steps, strict=True):
        assert torch.equal(seen.obs[..., :2], hidden.obs[..., :2])
        assert not hidden.obs[..., 2:].any()


@pytest.mark.parametrize(
    ("size", "corner", "middle"), [(5, [-0.4, 0.4], [0, 0]), (4, [-0.375, 0.375], [0.125, 0.125])]
)
def test_coordinates_are_centred_and_scaled(size, corner, middle):
    env = game(size=size, num_agents=1)
    env.reset()
    put(env, [(0, size - 1)], [(2, 2)])
    assert act(env, WAIT).obs.flatten().tolist() == pytest.approx([*corner, *middle])


def test_a_target_that_moves_around_the_torus_is_where_it_was():
    # 2**63 - 2 is a multiple of 3.
    far = make("target_capture", size=3, motion=[2**63 - 1, -(2**63 - 1)], num_envs=5)
    near = make("target_capture", size=3, motion=[1, -1], num_envs=5)
    steps = zip(play(far, far.reset(), 9), play(near, near.reset(), 9), strict=True)
    for one, other in steps:
        assert_equal(one, other)
