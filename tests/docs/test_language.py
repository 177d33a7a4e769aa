"""What a speaker's words tell of the goal, and what the listener makes of them."""

import runpy
from pathlib import Path

import pytest
import torch
from runner.test_elsewhere import stored, trained

from marlrun.runner.stored import open_run

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGE = runpy.run_path(str(DOCS / "language.py"))
RANDOM = {"_target_": "marlrun.algos.random.Random"}


class Clear:
    """Says the goal, or the same word always; the listener goes right while it hears word 1."""

    def __init__(self, word=None):
        self.word = word

    def policy(self, explore, seeds):
        def act(step):
            goal = step.obs[:, :, 0, :3].argmax(-1)
            word = goal if self.word is None else torch.full_like(goal, self.word)
            heard = step.obs[:, :, 1, 8:11]
            # Action 2 is +x under mpe2's rules.
            return torch.stack([word, 2 * heard[..., 1].long()], -1)

        return act


@pytest.fixture(scope="module", params=["mpe2", "ma_airl"])
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("language") / request.param
    env = stored("speaker_listener") | {"rules": request.param}
    return open_run(trained(path, RANDOM, env), "cpu", [])


def test_who_says_the_goal_says_all_of_it(run):
    talk = LANGUAGE["converse"](run, Clear(), 300, False)
    # log2 3 less what 300 goals are not evenly drawn.
    assert all(1.55 < bits <= 1.585 for bits in LANGUAGE["bits"](talk, talk.goals).tolist())
    silent = LANGUAGE["converse"](run, Clear(word=0), 300, False)
    assert LANGUAGE["bits"](silent, silent.goals).tolist() == [0, 0]
    assert torch.equal(silent.goals, talk.goals)


def test_a_mixed_up_listener_hears_the_words_of_the_next_episode(run):
    clear, mixed_up = (LANGUAGE["converse"](run, Clear(), 300, mixed) for mixed in (False, True))
    # The speaker goes on saying the goal.
    assert torch.equal(mixed_up.words[..., 0], mixed_up.goals)
    moved = (clear.distance - mixed_up.distance).abs() > 1e-6
    hears_otherwise = (clear.goals == 1) != (clear.goals.roll(1, dims=1) == 1)
    # Where both hear word 1 or neither does, the same happens.
    lasts = clear.said.all(-1) & mixed_up.said.all(-1) & clear.said.all(-1).roll(1, dims=1)
    assert torch.equal(moved & lasts, hears_otherwise & lasts) and lasts.float().mean() > 0.8


def test_the_table_says_what_random_words_are_worth(run, capsys):
    LANGUAGE["main"]([str(run.directory), "--episodes", "200"])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| seed | bits | bits, other goals | return |")
    assert [row.split(" | ")[0] for row in rows] == ["| 3", "| 4", "| mean"]
    assert all(0 <= float(row.split(" | ")[1]) < 0.01 for row in rows[:2])


def test_another_game_is_refused(tmp_path):
    path = trained(tmp_path / "run", RANDOM, stored("spread"))
    with pytest.raises(SystemExit, match=r"^language: .*: expected a run on env=speaker_listener$"):
        LANGUAGE["main"]([str(path)])


def test_a_single_episode_has_no_other_to_be_mixed_up_with(run):
    for episodes in ("1", "0", "-1"):
        line = f"^language: --episodes {episodes}: expected at least 2, so that there is another"
        with pytest.raises(SystemExit, match=line):
            LANGUAGE["main"]([str(run.directory), "--episodes", episodes])
