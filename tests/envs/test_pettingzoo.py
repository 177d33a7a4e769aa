"""Our games pass PettingZoo's own tests, and are what they are elsewhere."""

import copy
import multiprocessing
import pickle
import re
from queue import Empty

import numpy as np
import pytest
import torch
from envs.games import IDS, VARIANTS, make
from pettingzoo.test import parallel_api_test, parallel_seed_test

from marlrun.envs.pettingzoo.export import parallel_env


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
        said.append(game.step(actions))
    return str(said)


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


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=IDS)
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
        before = played(game)
        assert played(twin) == before
        assert played(twin, seed=6) == played(game, seed=6)

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_goes_on_in_a_forked_process(self, name, changes, two_threads):
        game = parallel_env(name, **changes)
        played(game, 3, seed=5)
        assert elsewhere(game, "fork", 120) == (played(game), played(game, seed=9))

    def test_api(self, name, changes):
        parallel_api_test(parallel_env(name, **changes), num_cycles=100)

    def test_seed(self, name, changes):
        parallel_seed_test(lambda: parallel_env(name, **changes), num_cycles=100)

    def test_is_the_batched_game(self, name, changes):
        game, env = parallel_env(name, **changes), make(name, 5, **changes)
        seen, _ = game.reset(seed=5)
        step = env.reset()
        for time in range(80):
            for i, agent in enumerate(game.possible_agents):
                assert np.array_equal(seen[agent], step.obs[0, 0, i, : env.spec.obs_sizes[i]])
                assert game.observation_space(agent).contains(seen[agent])
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
        assert game.possible_agents == [f"agent_{i}" for i in range(spec.num_agents)]
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
        while game.agents:
            game.step({agent: game.action_space(agent).sample() for agent in game.agents})
            pictures.append(game.render())
        if mode == "ansi":
            assert all(isinstance(text, str) and text for text in pictures)
            assert len(set(pictures)) > 1
        else:
            assert all(array.dtype == np.uint8 and array.ndim == 3 for array in pictures)
            assert any((array != pictures[0]).any() for array in pictures)


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
    for call, name in ((lambda: game.step({}), "step"), (game.render, "render")):
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
