"""Pictures show what is where."""

import numpy as np
import pytest

from marlrun.envs.common.render import CELL, COLOURS, EDGE, GREY, draw_grid, draw_table

BLUE, VERMILLION = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS[:2])


def cell(picture: np.ndarray, size: int, x: int, y: int) -> np.ndarray:
    """Return the pixels of a cell."""
    left, top = EDGE + x * CELL, EDGE + (size - 1 - y) * CELL
    return picture[top : top + CELL, left : left + CELL].reshape(-1, 3)


def has(pixels: np.ndarray, colour: list[int]) -> bool:
    return bool((pixels == colour).all(-1).any())


def test_text_has_north_on_top():
    text = draw_grid("ansi", 3, [(0, 0), (2, 2), (2, 2)], [(1, 2)], walls=False)
    assert [line.split() for line in text.splitlines()] == [
        [".", "T", "12"],
        [".", ".", "."],
        ["0", ".", "."],
    ]


def test_text_shows_walls_and_own_targets():
    text = draw_grid("ansi", 2, [(0, 0), (1, 1)], [(1, 1), (1, 0)], walls=True)
    assert text.splitlines() == ["+-------+", "| .  1a |", "| 0  b  |", "+-------+"]


def test_agents_in_one_cell_stay_visible():
    picture = draw_grid("rgb_array", 3, [(2, 1), (2, 1)], walls=True)
    for x in range(3):
        for y in range(3):
            here = cell(picture, 3, x, y)
            assert has(here, BLUE) == has(here, VERMILLION) == ((x, y) == (2, 1))


def test_targets_in_one_cell_stay_visible():
    picture = draw_grid("rgb_array", 2, [(0, 0)] * 8, [(1, 1)] * 8, walls=False)
    here = cell(picture, 2, 1, 1)
    assert all(has(here, [int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in COLOURS)


def test_a_lone_target_is_nobodys():
    picture = draw_grid("rgb_array", 2, [(0, 0)], [(1, 1)], walls=False)
    assert has(cell(picture, 2, 1, 1), [int(GREY[i : i + 2], 16) for i in (1, 3, 5)])


def test_a_table_marks_what_was_chosen():
    payoffs = np.array([[[1.0, -3], [0, 2]]] * 2)
    assert draw_table("ansi", payoffs, 1).split() == ["1", "[-3]", "0", "2"]
    assert "[" not in draw_table("ansi", payoffs, -1)
    marked, plain = (draw_table("rgb_array", payoffs, chosen) for chosen in (1, -1))
    assert has(marked.reshape(-1, 3), VERMILLION) and not has(plain.reshape(-1, 3), VERMILLION)


def test_a_table_of_each_agents_own_payoff():
    payoffs = np.array([[[1.0, -3], [0, 2]], [[5, 6], [7, 8]]])
    assert draw_table("ansi", payoffs, 2).splitlines()[1].split("   ")[0].strip() == "[0, 7]"


@pytest.mark.parametrize("draw", [draw_grid, draw_table])
def test_refuses_another_mode(draw):
    arguments = (2, [(0, 0)]) if draw is draw_grid else (np.zeros((2, 2, 2)), -1)
    with pytest.raises(ValueError, match="render_mode=human: expected ansi or rgb_array"):
        draw("human", *arguments, **({"walls": True} if draw is draw_grid else {}))
