"""Pictures and text of particle worlds show what is where, and how the episode goes."""

import numpy as np
import pytest

from marlrun.envs.common.render import COLOURS, GREY
from marlrun.envs.particle.picture import HEADER, ORANGE, YELLOW, draw_scene
from marlrun.envs.particle.scene import Agent, Landmark, Scene, contacts

TOP = HEADER // 2
UNIT = 480 / 2.2
"""Pixels per unit of length while all is in [-1, 1]: a tenth around it is in view, too."""


def rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def at(picture: np.ndarray, x: float, y: float, reach: float = 1.1) -> list[int]:
    """Return the pixel at a position of the world."""
    scale = 240 / reach
    return picture[round(TOP + (reach - y) * scale), round((x + reach) * scale)].tolist()


def has(picture: np.ndarray, colour: str) -> bool:
    """Say whether the arena shows a colour, apart from the legend below it."""
    return bool((picture[TOP : TOP + 480] == rgb(colour)).all(-1).any())


def agent(x: float, y: float, **more) -> Agent:
    return Agent("agent_0", (x, y), **{"radius": 0.15, "score": -1.0, **more})


def scene(*agents: Agent, landmarks=(), **more) -> Scene:
    return Scene("spread", agents, landmarks, step=3, horizon=25, **more)


def draw(*agents: Agent, **more) -> np.ndarray:
    picture = draw_scene("rgb_array", scene(*agents, **more))
    assert isinstance(picture, np.ndarray)
    return picture


def test_an_agent_is_a_disc_where_it_stands():
    picture = draw(agent(0.5, 0.6), agent(-0.5, -0.6))
    assert picture.dtype == np.uint8 and picture.shape[1:] == (480, 3)
    # Beside the number in its middle, .1 from it; the radius is .15.
    for away in (-0.1, 0.1):
        assert at(picture, 0.5 + away, 0.6) == rgb(COLOURS[0])
        assert at(picture, -0.5, -0.6 + away) == rgb(COLOURS[1])
    assert at(picture, 0.5 + 0.17, 0.6 + 0.02) == [255, 255, 255]


def test_adversaries_are_red_and_the_others_are_not():
    picture = draw(agent(0.5, 0.5), agent(-0.5, 0.5, is_adversary=True), agent(-0.5, -0.5))
    assert at(picture, 0.6, 0.5) == rgb(COLOURS[0])
    assert at(picture, -0.4, 0.5) == rgb(COLOURS[1])
    assert at(picture, -0.4, -0.5) == rgb(COLOURS[2])


def test_landmarks_are_squares_obstacles_are_discs():
    corner = 0.09
    for is_solid in (False, True):
        landmark = Landmark((0.3, 0.3), 0.1, is_solid=is_solid)
        picture = draw(agent(-0.5, 0), landmarks=[landmark])
        assert at(picture, 0.3 + corner, 0.3) == rgb(GREY)
        assert (at(picture, 0.3 + corner, 0.3 + corner) == rgb(GREY)) == (not is_solid)


def test_a_target_has_the_colour_of_its_agent():
    landmarks = [Landmark((0.3, 0.3), 0.1, owner=1), Landmark((-0.3, 0.3), 0.1, owner=0)]
    picture = draw(agent(0.8, 0.8), agent(0.8, -0.8), landmarks=landmarks)
    assert at(picture, 0.39, 0.3) == rgb(COLOURS[1])
    assert at(picture, -0.21, 0.3) == rgb(COLOURS[0])


def test_a_covered_landmark_stays_visible():
    landmark = Landmark((0.0, 0.0), 0.1)
    plain, covered = draw(agent(0, 0)), draw(agent(0, 0), landmarks=[landmark])
    edge = 0.1 + 1 / UNIT
    assert at(plain, edge, 0.0) == rgb(COLOURS[0])
    assert at(covered, edge, 0.0) == [255, 255, 255]


@pytest.mark.parametrize("is_goal", [True, False])
def test_a_goal_has_a_ring(is_goal: bool):
    assert (
        has(draw(agent(0, 0), landmarks=[Landmark((0.5, 0.5), 0.05, is_goal)]), ORANGE) == is_goal
    )


def test_contacts_are_marked_between_solid_bodies():
    touching, apart = (agent(0, 0), agent(0.29, 0)), (agent(0, 0), agent(0.31, 0))
    assert has(draw(*touching), YELLOW) and not has(draw(*apart), YELLOW)
    # The point divides the distance .2 as the radii .15 and .05 do.
    obstacle = Landmark((0.5, 0.19), 0.05, is_solid=True)
    assert contacts(scene(agent(0.5, 0), landmarks=[obstacle])) == [pytest.approx((0.5, 0.1425))]
    ghosts = [body._replace(is_solid=False) for body in touching]
    assert contacts(scene(*ghosts)) == []
    assert contacts(scene(agent(0, 0), landmarks=[Landmark((0, 0), 0.05)])) == []


@pytest.mark.parametrize("y", [0.0, 0.85])
def test_a_message_is_drawn_beside_the_speaker(y: float):
    silent = draw(agent(0.2, y))
    zero, two = (draw(agent(0.2, y, message=symbol)) for symbol in (0, 2))
    assert not np.array_equal(zero, two)
    rows, columns, _ = (silent != two).nonzero()
    centre = (0.2 + 1.1) * UNIT, TOP + (1.1 - y) * UNIT
    assert max(abs(columns - centre[0])) < 40
    above = rows < centre[1]
    assert above.all() if y == 0.0 else not above.any()
    assert min(rows) > TOP and max(abs(rows - centre[1])) < 80


def test_the_camera_moves_away_with_the_farthest_agent():
    picture = draw(agent(0.5, 0), agent(-3.85, 1, radius=0.15))
    assert at(picture, -3.85 + 0.1, 1, reach=4.4) == rgb(COLOURS[1])
    assert at(picture, 0.5 + 0.1, 0, reach=4.4) == rgb(COLOURS[0])
    assert picture.shape == draw(agent(0.5, 0), agent(0, 0)).shape


def test_lines_are_half_a_unit_apart():
    picture = draw(agent(-0.8, -0.8))
    row = picture[round(TOP + 0.85 * UNIT)]
    lines = ((row < 250).all(-1)).nonzero()[0]
    expected = [(1.1 + x) * UNIT for x in (-1, -0.5, 0, 0.5, 1)]
    # Besides the border of the picture.
    inside = lines[(lines > 2) & (lines < 477)]
    assert all(min(abs(inside - x)) <= 1 for x in expected)
    assert all(min(abs(np.array(expected) - x)) <= 1.5 for x in inside)


def test_a_far_agent_stays_visible_and_does_not_fill_the_floor_with_lines():
    picture = draw(agent(500, 0, radius=0.05), agent(0, 0))
    assert has(picture, COLOURS[0])
    floor = picture[TOP + 5 : TOP + 475, 5:475]
    assert (floor == 255).all(-1).mean() > 0.5


def test_links_are_lines_between_agents():
    pair = agent(-0.8, 0.25), agent(0.8, 0.25)
    assert at(draw(*pair, links=[(0, 1)]), 0.25, 0.25) == rgb(GREY)
    assert at(draw(*pair, links=[]), 0.25, 0.25) == [255, 255, 255]


def test_the_same_scene_is_the_same_picture():
    bodies = agent(0.1, 0.2, message=1), agent(0.3, 0.2)
    assert np.array_equal(draw(*bodies), draw(*bodies))


def test_step_score_and_end_are_shown():
    plain = draw(agent(0, 0))
    later = draw_scene("rgb_array", scene(agent(0, 0))._replace(step=4))
    ended = draw(agent(0, 0), end="time is up")
    for picture in (later, ended):
        rows = (plain != picture).any(-1).any(-1).nonzero()[0]
        assert len(rows) and max(rows) < TOP
    richer = draw(agent(0, 0, score=2.0))
    rows = (plain != richer).any(-1).any(-1).nonzero()[0]
    assert len(rows) and min(rows) > TOP + 480


def test_many_agents_share_a_line_of_the_legend():
    crowd = [agent(i / 20, 0, radius=0.02) for i in range(13)]
    assert draw(*crowd).shape[0] == draw(crowd[0]).shape[0] < draw(*crowd[:12]).shape[0]


def test_text():
    bodies = [
        Agent("speaker_0", (0.125, -1), 0.075, -1.5, is_solid=False, message=2),
        Agent("listener_0", (2, 0.5), 0.075, float("nan"), is_solid=False),
    ]
    landmarks = [Landmark((0, 0), 0.04), Landmark((1, 1), 0.04, is_goal=True)]
    more = {"score_name": "mean reward", "links": [(0, 1)], "end": "time is up"}
    assert draw_scene("ansi", scene(*bodies, landmarks=landmarks, **more)) == "\n".join(
        [
            "spread: step 3 / 25, time is up",
            "speaker_0 at (0.12, -1.00), mean reward -1.50, says 2",
            "listener_0 at (2.00, 0.50), mean reward ?",
            "landmark a at (0.00, 0.00)",
            "landmark b at (1.00, 1.00), goal",
            "links 0-1",
        ]
    )


def test_text_of_a_contact():
    text = draw_scene("ansi", scene(agent(0, 0), agent(0.2, 0, score=-0.001)))
    assert text.splitlines()[2:] == [
        "agent_0 at (0.20, 0.00), return 0.00",
        "contact at (0.10, 0.00)",
    ]


def test_refuses_another_mode():
    with pytest.raises(ValueError, match="render_mode=human: expected ansi or rgb_array"):
        draw_scene("human", scene(agent(0, 0)))
