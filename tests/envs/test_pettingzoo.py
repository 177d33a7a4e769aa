"""Our games as PettingZoo games are what they are elsewhere; test_pettingzoo_api.py has its tests."""

import copy
import json
import multiprocessing
import pickle
import re
from queue import Empty

import numpy as np
import pytest
import torch
from envs.games import EXPORT_IDS, EXPORTS, make
from gymnasium.spaces import Box

from marlrun.envs.common.bounds import observation_bounds
from marlrun.envs.pettingzoo.export import ParallelGame, parallel_env
from marlrun.types import Spec, Step


def played(game, steps=40, seed=None):
    """Return all that a game says in so many steps, as text; `seed` begins with a new episode."""
    said = []
    if seed is not None:
        said.append(game.reset(seed=seed))
    for time in range(steps):
        if not game.agents:
            said.append(game.reset())
        actions = {
            agent: (time + i) % game.action_space(agent).n for i, agent in enumerate(game.agents)
        }
        said.append((game.step(actions), game.state()))
    return json.dumps(said, default=np.ndarray.tolist)


def play_and_tell(game, queue):
    """Go on with a game in another process, then begin one there."""
    queue.put((played(game), played(game, seed=9)))


def elsewhere(game, method, seconds):
    """Return what `play_and_tell` tells in a process that is started by `method`."""
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=play_and_tell, args=(game, queue), daemon=True)
    child.start()
    try:
        return queue.get(timeout=seconds)
    except Empty:
        pytest.fail("the other process hangs")
    finally:
        child.kill()
        child.join()


@pytest.fixture
def two_threads():
    """With one thread nothing could hang."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("name", "changes"), EXPORTS, ids=EXPORT_IDS)
class TestEveryGame:
    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda game: pickle.loads(pickle.dumps(game))]
    )
    def test_a_copy_goes_on_with_the_same_numbers(self, name, changes, copied):
        game = parallel_env(name, render_mode="ansi", **changes)
        fresh = copied(game)
        assert str(fresh.reset()) == str(game.reset())
        played(game, 7, seed=5)
        twin = copied(game)
        assert (twin.agents, twin.render()) == (game.agents, game.render())
        assert np.array_equal(twin.state(), game.state())
        before = played(game)
        assert played(twin) == before
        assert played(twin, seed=6) == played(game, seed=6)

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_goes_on_in_a_forked_process(self, name, changes, two_threads):
        game = parallel_env(name, **changes)
        played(game, 3, seed=5)
        assert elsewhere(game, "fork", 120) == (played(game), played(game, seed=9))

    def test_is_the_batched_game(self, name, changes):
        game, env = parallel_env(name, **changes), make(name, 5, **changes)
        seen, _ = game.reset(seed=5)
        step = env.reset()
        for time in range(80):
            for i, agent in enumerate(game.possible_agents):
                assert np.array_equal(seen[agent], step.obs[0, 0, i, : env.spec.obs_sizes[i]])
                assert game.observation_space(agent).contains(seen[agent])
            joint = np.concatenate([seen[agent] for agent in game.possible_agents])
            state = joint if step.state is None else step.state[0, 0].numpy()
            assert np.array_equal(game.state(), state)
            assert game.state_space.contains(game.state())
            if not game.agents:
                seen, _ = game.reset()
                step = env.reset()
                continue
            actions = {
                agent: (time + i) % game.action_space(agent).n
                for i, agent in enumerate(game.agents)
            }
            seen, rewards, terminated, truncated, _ = game.step(actions)
            step = env.step(torch.tensor([[list(actions.values())]]))
            assert list(rewards.values()) == step.reward[0, 0].tolist()
            assert set(terminated.values()) == {step.terminated.item()}
            assert set(truncated.values()) == {step.truncated.item()}

    def test_spaces_and_names(self, name, changes):
        game, spec = parallel_env(name, **changes), make(name, **changes).spec
        assert game.possible_agents == list(spec.agent_names)
        assert game.metadata["name"] == f"{name}_v0"
        for agent, size, number in zip(
            game.possible_agents, spec.obs_sizes, spec.num_actions, strict=True
        ):
            assert game.observation_space(agent).shape == (size,)
            assert game.action_space(agent).n == number

    @pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
    def test_renders(self, name, changes, mode):
        game = parallel_env(name, render_mode=mode, **changes)
        game.reset(seed=0)
        pictures = [game.render()]
        while game.agents and len(pictures) < 20:
            game.step({agent: game.action_space(agent).sample() for agent in game.agents})
            pictures.append(game.render())
        if mode == "ansi":
            assert all(isinstance(text, str) and text for text in pictures)
            assert len(set(pictures)) > 1
        else:
            assert all(array.dtype == np.uint8 and array.ndim == 3 for array in pictures)
            assert any((array != pictures[0]).any() for array in pictures)


@pytest.mark.parametrize(
    ("name", "keys", "low", "high"),
    [
        # A cell x of 0 to 4 is seen as (x - 2) / 5, one of 0 to 3 as (x - 1.5) / 4.
        ("target_capture", {"size": 5, "flicker": 0.5}, -0.4, 0.4),
        ("target_capture", {"size": 4, "targets": "each"}, -0.375, 0.375),
        ("meeting_grid", {"observation": "walls"}, 0.0, 1.0),
        ("meeting_grid", {}, 0.0, 1.0),
        ("reward_grid", {}, 0.0, 1.0),
        ("networked_mdp", {"num_agents": 2}, 0.0, 1.0),
        ("public_goods", {}, 0.0, 1.0),
    ],
)
def test_the_bounds_are_those_that_are_observed(name, keys, low, high):
    game = parallel_env(name, **keys)
    seen, _ = game.reset(seed=0)
    history = [seen]
    while len(history) < 200:
        actions = {agent: len(history) * (i + 3) % 2 for i, agent in enumerate(game.agents)}
        history.append(game.step(actions)[0] if game.agents else game.reset()[0])
    for agent in game.possible_agents:
        views, space = np.stack([seen[agent] for seen in history]), game.observation_space(agent)
        assert (views.min(), views.max()) == (np.float32(low), np.float32(high))
        assert (space.low == np.float32(low)).all() and (space.high == np.float32(high)).all()
    assert (game.state_space.low == np.float32(low)).all()


@pytest.mark.parametrize("size", range(2, 65))
def test_every_cell_of_every_torus_is_within_the_bounds(size):
    env = make("target_capture", size=size)
    low, high = observation_bounds(env)
    assert (low[0, 0], high[0, 0]) == (env._coordinates.min(), env._coordinates.max())


class Leaving:
    """The first agent may only wait, until it leaves after the third step; the clock ends the rest.

    Agent i observes the time in its features up to i + 1, which the class bounds one by one.
    """

    obs_bounds = (
        torch.tensor([[0.0, 0.0], [0.0, -1.0]]),
        torch.tensor([[5.0, 0.0], [5.0, torch.inf]]),
    )
    resumable = False
    state = None

    def __init__(self, seed):
        self.num_envs = 1
        self.spec = Spec(
            2, ("a", "b"), (1, 2), (2, 3), 5, 1.0, has_action_mask=True, agents_leave=True
        )

    def reset(self):
        self.time, self.actions = 0, []
        return self.seen(0.0)

    def step(self, action):
        self.time += 1
        self.actions.append(action.flatten().tolist())
        return self.seen(1.0)

    def seen(self, reward):
        no = torch.zeros(1, 1, dtype=torch.bool)
        obs = torch.tensor([[[[self.time, 0.0], [self.time, -1.0]]]])
        mask = torch.tensor([[[[True, False, False], [True, True, self.time == 1]]]])
        alive = torch.tensor([[[self.time < 3, True]]])
        end = no | (self.time == 5)
        return Step(no, obs, torch.full((1, 1, 2), reward), no, end, alive, mask, self.state)


def test_agents_leave_and_actions_are_masked():
    game = ParallelGame(Leaving, "leaving_v0")
    assert game.observation_space("a") == Box(0, 5, (1,), np.float32)
    assert game.observation_space("b") == Box(np.float32([0, -1]), np.float32([5, np.inf]))
    assert game.state_space == Box(np.float32([0, 0, -1]), np.float32([5, 5, np.inf]))
    _, infos = game.reset(seed=0)
    assert infos["a"]["action_mask"].tolist() == [1, 0]
    assert infos["b"]["action_mask"].tolist() == [1, 1, 0]
    assert infos["a"]["action_mask"].dtype == np.int8
    with pytest.raises(ValueError, match="^action of b: 2 is masked$"):
        game.step({"a": 0, "b": 2})
    assert game.step({"a": 0, "b": 1})[4]["b"]["action_mask"].tolist() == [1, 1, 1]
    game.step({"a": 0, "b": 2})
    seen, rewards, terminated, truncated, infos = game.step({"a": 0, "b": 1})
    assert {agent: view.tolist() for agent, view in seen.items()} == {"a": [3.0], "b": [3.0, -1.0]}
    assert terminated == {"a": True, "b": False} and truncated == {"a": False, "b": False}
    assert rewards.keys() == infos.keys() == {"a", "b"} and game.agents == ["b"]
    assert [said.keys() for said in game.step({"b": 1})] == [{"b"}] * 5
    assert game.state().tolist() == [4.0, 4.0, -1.0]
    _, _, terminated, truncated, _ = game.step({"b": 1})
    assert (terminated, truncated, game.agents) == ({"b": False}, {"b": True}, [])
    assert game._env.actions == [[0, 1], [0, 2], [0, 1], [0, 1], [0, 1]]
    game.reset()
    assert game.agents == ["a", "b"]


def test_what_cannot_be_drawn_has_no_render_mode():
    assert ParallelGame(Leaving, "leaving_v0").metadata["render_modes"] == []
    with pytest.raises(ValueError, match="^render_mode=ansi: leaving_v0 cannot be drawn$"):
        ParallelGame(Leaving, "leaving_v0", "ansi")


def test_what_cannot_be_saved_cannot_be_copied():
    game = ParallelGame(Leaving, "leaving_v0")
    with pytest.raises(ValueError, match="^leaving_v0: a game that is not resumable cannot be co"):
        copy.deepcopy(game)


def test_a_state_that_no_class_bounds_is_unbounded(monkeypatch):
    monkeypatch.setattr(Leaving, "state", torch.full((1, 1, 3), 7.0))
    game = ParallelGame(Leaving, "leaving_v0")
    assert game.state_space == Box(-np.inf, np.inf, (3,), np.float32)
    game.reset()
    assert game.state().tolist() == [7.0] * 3


def test_a_continuing_game_is_truncated_and_begins_anew():
    game = parallel_env("networked_mdp", num_agents=1, num_states=1000, horizon=2)
    game.reset(seed=0)
    game.step({"agent_0": 0})
    _, _, terminated, truncated, _ = game.step({"agent_0": 0})
    assert (terminated, truncated, game.agents) == ({"agent_0": False}, {"agent_0": True}, [])
    last = game.state()
    assert last.sum() == 1
    game.reset()
    assert not np.array_equal(game.state(), last)


def test_without_a_render_mode_nothing_is_drawn():
    game = parallel_env("meeting_grid")
    game.reset()
    assert game.render() is None


def test_unseeded_games_differ_and_episodes_follow_each_other():
    games = [parallel_env("target_capture", size=64, num_agents=8) for _ in range(2)]
    starts = [game.reset()[0]["agent_0"].tolist() for game in (*games, games[0])]
    assert len(set(map(tuple, starts))) == 3


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("pettingzoo", {}, "env=pettingzoo: is PettingZoo's own already, expected one of "),
        ("target_captur", {}, "env=target_captur: .*did you mean target_capture"),
        ("target_capture", {"sise": 4}, "env.sise: no such key; did you mean env.size"),
        ("target_capture", {"size": 1}, "env.size=1: expected int"),
        ("target_capture", {"size": "${horizon}"}, "env.size=.*: expected int"),
        ("target_capture", {"motion": [1]}, "env.motion=.*: expected static"),
        ("target_capture", {"_target_": "os.system"}, "env._target_: no such key"),
        ("meeting_grid", {"success": -0.1}, "env.success=-0.1: expected float"),
        ("meeting_grid", {"num_envs": 2}, "env.num_envs=2: expected 1"),
        ("matrix_game", {"payoff": [[1], [2, 3]]}, "env.payoff"),
        ("meeting_grid", {"render_mode": "human"}, "render_mode=human: expected ansi or rgb_array"),
    ],
)
def test_refuses_in_one_line(name, keys, message):
    with pytest.raises(ValueError, match=message) as error:
        parallel_env(name, **keys)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("actions", [{"agent_0": 0}, {"agent_0": 0, "agent_1": 5}, {}])
def test_refuses_a_wrong_action(actions):
    game = parallel_env("meeting_grid")
    game.reset()
    with pytest.raises(ValueError, match="action of agent_[01]: got .*, expected Discrete"):
        game.step(actions)


@pytest.mark.parametrize("seed", [-1, np.int64(-1), 1.5, 1.0, True, np.True_, "1"])
def test_refuses_what_is_no_seed(seed):
    game = parallel_env("meeting_grid")
    game.reset(seed=0)
    before = played(copy.deepcopy(game))
    expected = f"seed={seed}: expected a whole number of at least 0"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        game.reset(seed=seed)
    assert played(game) == before


def test_a_seed_may_be_numpys():
    first, second = parallel_env("meeting_grid"), parallel_env("meeting_grid")
    assert played(first, seed=7) == played(second, seed=np.uint32(7))


def test_nothing_goes_before_the_first_reset():
    game = parallel_env("matrix_game", render_mode="ansi")
    for call, name in (
        (lambda: game.step({}), "step"),
        (game.render, "render"),
        (game.state, "state"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}\(\) before reset\(\): expected reset"):
            call()
    game.reset()
    game.step({"agent_0": 0, "agent_1": 0})
    assert game.step({}) == ({}, {}, {}, {}, {})


def test_leaves_the_number_of_threads_alone(two_threads):
    played(parallel_env("target_capture", render_mode="ansi"), 3)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", ["target_capture", "networked_mdp"])
def test_goes_on_in_a_spawned_process(name):
    game = parallel_env(name)
    played(game, 3, seed=5)
    assert elsewhere(game, "spawn", 120) == (played(game), played(game, seed=9))
