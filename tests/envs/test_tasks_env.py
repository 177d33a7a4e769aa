"""Several games as one: which task is played when, and that it is the game itself."""

import pytest
import torch
from envs.games import assert_equal, make, some_actions

from marlrun.config.schema import declared
from marlrun.config.tasks import completed, task_names
from marlrun.envs.target_capture import TargetCapture
from marlrun.envs.tasks import Tasks

CPU = torch.device("cpu")


def tasks(*typed, seeds=(0,), num_envs=1) -> Tasks:
    complete = completed(list(typed), lambda name, key: declared(f"env/{name}", key))
    return Tasks(seeds, CPU, num_envs=num_envs, tasks=complete)


def capture(**keys) -> dict:
    return {"name": "target_capture", **keys}


def by_hand(games, seeds, num_envs, actions):
    """Play tasks in turn as it is meant: all games go on all the time, and who plays is looked up."""
    task = (torch.arange(num_envs) % len(games)).expand(len(seeds), -1).clone()
    steps = [game.reset() for game in games]

    def seen(name):
        fields = torch.stack([getattr(step, name) for step in steps])
        index = task.view(1, *task.shape, *(1,) * (fields.ndim - 3)).expand(1, *fields.shape[1:])
        return fields.gather(0, index)[0]

    for action in actions:
        steps = [game.step(action) for game in games]
        yield task.clone(), seen("obs"), seen("reward"), seen("terminated"), seen("truncated")
        done = seen("terminated") | seen("truncated")
        task[done] = (task[done] + 1) % len(games)
        steps = [
            game.restart(
                step._replace(terminated=done & (task == index), truncated=torch.zeros_like(done))
            )
            for index, (game, step) in enumerate(zip(games, steps, strict=True))
        ]
        # What a game shows elsewhere is none of the other copies' business.
        yield task.clone(), torch.where(done[..., None, None], seen("obs"), 0), done


@pytest.mark.parametrize(("seeds", "num_envs"), [((5,), 1), ((5,), 4), ((3, 4, 5), 1), ((4, 5), 5)])
def test_every_copy_plays_the_games_in_turn(seeds, num_envs):
    keys = {"targets": "each", "flicker": 0.3, "motion": "random"}
    env = tasks(
        capture(size=2, horizon=5, **keys),
        capture(size=3, horizon=9, **keys),
        capture(size=5, horizon=3, **keys),
        seeds=seeds,
        num_envs=num_envs,
    )
    games = [
        make("target_capture", *seeds, num_envs=num_envs, size=size, horizon=horizon, **keys)
        for size, horizon in ((2, 5), (3, 9), (5, 3))
    ]
    step = env.reset()
    assert step.task.tolist() == [[copy % 3 for copy in range(num_envs)]] * len(seeds)
    assert env.spec.horizon == 9 and env.spec.tasks == (
        "size=2_horizon=5",
        "size=3_horizon=9",
        "size=5_horizon=3",
    )
    actions = [some_actions(env, step, time) for time in range(80)]
    expected = by_hand(games, seeds, num_envs, actions)
    played = set()
    for action in actions:
        after = env.step(action)
        task, obs, reward, terminated, truncated = next(expected)
        assert torch.equal(after.task, task) and torch.equal(after.obs, obs)
        assert torch.equal(after.reward, reward) and not after.first.any()
        assert torch.equal(after.terminated, terminated) and torch.equal(after.truncated, truncated)
        step = env.restart(after)
        task, obs, done = next(expected)
        assert torch.equal(step.task, task) and torch.equal(step.first, done)
        begun, going_on = step.obs[done], step.obs[~done]
        assert torch.equal(begun, obs[done]) and torch.equal(going_on, after.obs[~done])
        assert not step.done.any() and not step.reward[done].any()
        played |= set(step.task.flatten().tolist())
    assert played == {0, 1, 2}


def test_one_copy_steps_only_the_game_that_it_plays(monkeypatch):
    stepped = []
    step_game = TargetCapture.step

    def step_and_tell(self, action):
        stepped.append(self._size)
        return step_game(self, action)

    monkeypatch.setattr(TargetCapture, "step", step_and_tell)
    env = tasks(capture(size=6, horizon=3), capture(size=7, horizon=2))
    step = env.reset()
    for time in range(8):
        step = env.restart(env.step(some_actions(env, step, time)))
    assert stepped == [6, 6, 6, 7, 7, 6, 6, 6]


def test_a_game_that_cannot_be_idle_is_played_in_vain(monkeypatch):
    typed = capture(size=2, horizon=3), capture(size=3, horizon=4)
    cheap = tasks(*typed, seeds=(1, 2), num_envs=3)
    monkeypatch.delattr(TargetCapture, "idle")
    dear = tasks(*typed, seeds=(1, 2), num_envs=3)
    steps = cheap.reset(), dear.reset()
    for time in range(30):
        assert_equal(*steps)
        action = some_actions(cheap, steps[0], time)
        afters = cheap.step(action), dear.step(action)
        assert_equal(*afters)
        steps = cheap.restart(afters[0]), dear.restart(afters[1])


def test_a_game_played_in_vain_is_not_stepped_beyond_the_end_of_an_episode(monkeypatch):
    monkeypatch.delattr(TargetCapture, "idle")
    play, begin = TargetCapture.step, TargetCapture.restart

    def step_unless_over(self, action):
        assert not self.over.any()
        after = play(self, action)
        self.over = after.done
        return after

    def restart_and_tell(self, step):
        self.over = getattr(self, "over", step.done) & ~step.done
        return begin(self, step)

    monkeypatch.setattr(TargetCapture, "step", step_unless_over)
    monkeypatch.setattr(TargetCapture, "restart", restart_and_tell)
    env = tasks(capture(size=2, horizon=3), capture(size=3, horizon=7), seeds=(1, 2), num_envs=2)
    step = env.reset()
    for time in range(50):
        step = env.restart(env.step(some_actions(env, step, time)))


def test_it_is_drawn_in_the_task_that_is_played():
    env = tasks(capture(size=2, horizon=1), capture(size=3, horizon=1), num_envs=2)
    env.begin_drawing()
    step = env.reset()
    rows = [env.render("ansi", 0, copy).count("\n") for copy in (0, 1)]
    step = env.restart(env.step(some_actions(env, step, 0)))
    assert [env.render("ansi", 0, copy).count("\n") for copy in (0, 1)] == rows[::-1]
    assert rows[0] != rows[1]


def test_bounds_are_those_of_all_tasks():
    env = tasks(capture(size=2), capture(size=4))
    low, high = env.obs_bounds
    assert torch.equal(low, torch.full((2, 4), -0.375)) and torch.equal(high, -low)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (
            [capture(), {"name": "meeting_grid"}],
            "task meeting_grid has observations of size 6, task target_capture has 4",
        ),
        (
            [capture(num_agents=2), capture(num_agents=3)],
            "task num_agents=3 has the agents agent_0, agent_1, agent_2, task num_agents=2 has",
        ),
        ([capture(), capture(discount=0.9)], "task discount=0.9 has a discount of 0.9"),
        (
            [{"name": "reward_grid"}, {"name": "matrix_game"}],
            "task matrix_game has observations of size 1, task reward_grid has",
        ),
        (
            [{"name": "matrix_game"}, {"name": "matrix_game", "payoff": [[[1, 2], [3, 4]]] * 2}],
            "has numbers of actions 2, task",
        ),
        ([{"name": "public_goods"}], "the game of task public_goods never ends"),
    ],
)
def test_tasks_of_unequal_shape_are_refused_by_name(typed, expected):
    with pytest.raises(ValueError, match="^env.tasks: ") as refusal:
        tasks(*typed)
    assert expected in str(refusal.value) and "\n" not in str(refusal.value)


def test_sizes_are_tasks_made_easy():
    typed = [capture(size=size, targets="each", flicker=0.3) for size in (3, 4)]
    complete = completed(typed, lambda name, key: declared(f"env/{name}", key))
    assert task_names(complete) == ["size=3", "size=4"]
    one = Tasks((1, 2), CPU, num_envs=3, tasks=complete)
    other = make("target_capture_tasks", 1, 2, num_envs=3, sizes=[3, 4])
    assert one.spec == other.spec
    steps = one.reset(), other.reset()
    for time in range(130):
        assert_equal(*steps)
        action = some_actions(one, steps[0], time)
        steps = one.restart(one.step(action)), other.restart(other.step(action))
