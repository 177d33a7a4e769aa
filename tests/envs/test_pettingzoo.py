"""Our games pass PettingZoo's own tests, and are what they are elsewhere."""

import numpy as np
import pytest
import torch
from envs.games import IDS, VARIANTS, make
from pettingzoo.test import parallel_api_test, parallel_seed_test

from marlrun.envs.pettingzoo import parallel_env


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=IDS)
class TestEveryGame:
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
