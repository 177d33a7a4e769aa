"""Particle worlds draw the copy that is asked for, with the returns that its agents got."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from envs.games import assert_equal, make, play, some_actions
from PIL import Image, ImageSequence

from marlrun.envs.common.scores import Moment
from marlrun.envs.particle.picture import draw_scene
from marlrun.envs.particle.snapshot import snapshot
from marlrun.envs.pettingzoo.export import parallel_env
from marlrun.runner.video import encode, film

GAMES = ("spread", "speaker_listener", "push", "tag", "adversary")


def scores(text: str) -> list[float]:
    """Return the score of each agent in the text of a game."""
    return [float(number) for number in re.findall(r"(?:return|mean reward) (-?[\d.]+)", text)]


@pytest.mark.parametrize("name", GAMES)
def test_text_says_where_agents_are_and_what_they_got(name: str):
    env = make(name, 0, 1, num_envs=2)
    step = env.reset()
    assert "step 0 / 25" in env.render("ansi", 1, 1)
    total = torch.zeros_like(step.reward)
    for time in range(3):
        step = env.restart(env.step(some_actions(env, step, time)))
        total += step.reward
    for replica, copy in ((0, 0), (1, 0), (1, 1)):
        text = env.render("ansi", replica, copy)
        lines = text.splitlines()
        assert lines[0] == f"{name}, mpe2's rules: step 3 / 25"
        assert scores(text) == pytest.approx(total[replica, copy].tolist(), abs=0.0051)
        x, y = env.world.position[:, 0, 2 * replica + copy].tolist()
        assert lines[1].startswith(f"{env.spec.agent_names[0]} at ({x:.2f}, {y:.2f}), ")


def test_the_goal_and_the_message_are_those_of_the_copy():
    env = make("speaker_listener", 3, num_envs=4)
    env.reset()
    assert "says" not in env.render("ansi")
    env.step(torch.tensor([[[2, 0], [1, 0], [0, 0], [2, 0]]]))
    texts = [env.render("ansi", 0, copy) for copy in range(4)]
    assert [re.findall(r"says (\d)", text) for text in texts] == [["2"], ["1"], ["0"], ["2"]]
    # The speaker's observation says which landmark is the goal.
    seen = env.world.marks[:, :4].argmax(0).tolist()
    assert [re.findall(r"landmark (.) at .* goal", text) for text in texts] == [
        ["abc"[i]] for i in seen
    ]


def test_the_end_is_said():
    env = make("spread", horizon=2, early_end=False)
    step = env.reset()
    env.render("ansi")
    for _ in range(2):
        step = env.step(torch.zeros_like(step.reward, dtype=torch.int64))
    assert "step 2 / 2, time is up" in env.render("ansi")
    assert step.truncated.all()


def test_an_early_end_is_said():
    env = make("spread", rules="ma_airl")
    step = env.reset()
    env.render("ansi")
    env.world.position[:, 3:6] = env.world.position[:, 0:3]
    step = env.step(torch.zeros_like(step.reward, dtype=torch.int64))
    assert step.terminated.all()
    assert "spread, ma_airl's rules: step 1 / 50, ended early" in env.render("ansi")


def test_a_graph_and_a_continuing_task_are_shown():
    env = make("spread")
    env.reset()
    adjacency = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    spec, moment = replace(env.spec, continuing=True), Moment(25, [50.0, -25.0, 0.0], False)
    scene = snapshot("networked", env.world, 0, spec, moment, adjacency)
    assert scene.links == [(0, 2)]
    assert [landmark.owner for landmark in scene.landmarks] == [0, 1, 2]
    assert [agent.score for agent in scene.agents] == [2, -1, 0]
    assert draw_scene("ansi", scene).startswith("networked: step 25 / 25\n")
    assert scores(draw_scene("ansi", scene)) == [2, -1, 0]


def test_pictures_change_nothing():
    drawn, plain = make("tag", num_envs=3), make("tag", num_envs=3)
    steps = play(plain, plain.reset(), 30)
    step = drawn.reset()
    for time in range(30):
        drawn.render("rgb_array", 0, 1)
        after, step = play(drawn, step, 1, start=time)
        assert_equal(steps[2 * time], after)
        assert_equal(steps[2 * time + 1], step)


def test_a_stored_state_has_no_returns_but_its_next_episode_has():
    env, other = make("push"), make("push")
    step = env.reset()
    other.render("ansi")
    play(env, step, 24)
    other.load_state_dict(env.state_dict())
    assert other.render("ansi").count("return ?") == 2
    play(other, step, 2, start=24)
    text = other.render("ansi")
    assert "step 1 / 25" in text and len(scores(text)) == 2


def test_a_video_has_a_picture_of_every_step_ten_a_second():
    env = make("adversary")
    data = encode(film(env, lambda step: some_actions(env, step, 1)), env.frames_per_second)
    frames = [frame.copy() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))]
    assert len(frames) == env.spec.horizon + 1
    assert {frame.info["duration"] for frame in frames[:-1]} == {100}
    assert frames[-1].info["duration"] == 1000
    last = np.array(frames[-1].convert("RGB")).astype(int)
    shown = env.render("rgb_array").astype(int)
    assert abs(last - shown).mean() < 1


def test_the_speed_of_its_videos_is_known_to_pettingzoo():
    assert parallel_env("push").metadata["render_fps"] == 10
    assert parallel_env("matrix_game").metadata["render_fps"] == 5
