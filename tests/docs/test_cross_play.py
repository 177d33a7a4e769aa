"""Both sides of push play with those of other seeds and with scripts."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from runner.test_elsewhere import stored, trained

from marlrun.runner.stored import open_run

DOCS = Path(__file__).parents[2] / "docs"
CROSS_PLAY = runpy.run_path(str(DOCS / "cross_play.py"))
RANDOM = {"_target_": "marlrun.algos.random.Random"}


def run_of(path, rules, **changes):
    return trained(path, RANDOM, stored("push") | {"rules": rules}, **changes)


def test_rows_are_adversaries_and_columns_good_agents(tmp_path, monkeypatch):
    path = run_of(tmp_path / "run", "mpe2", replicas=3)
    match = CROSS_PLAY["Match"](open_run(path, "cpu", []), "latest", 2)
    asked = []

    def play(adversary, good, shift):
        asked.append((adversary, good, shift))
        replicas = np.arange(3)
        return np.stack([10 * ((replicas + shift) % 3) + replicas, replicas])

    monkeypatch.setattr(match, "play", play)
    pairs = match.every_pair()
    assert asked == [("learned", "learned", shift) for shift in range(3)]
    assert pairs[0].tolist() == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]
    assert pairs[1].tolist() == [[0, 1, 2]] * 3
    rows = CROSS_PLAY["square"]([5, 6, 7], pairs[0], "adversary_0").splitlines()
    assert rows[3] == "| adversary_0 of 6 | 10.00 | 11.00 | 12.00 |"


# Of 1,000 episodes; standing where one begins earns about -27 under mpe2's rules.
@pytest.mark.parametrize(("rules", "bounds"), [("mpe2", (-9.5, -7)), ("ma_airl", (-8.5, -6))])
def test_scripts_go_straight_to_where_they_should_be(tmp_path, rules, bounds):
    path = run_of(tmp_path / "run", rules)
    match = CROSS_PLAY["Match"](open_run(path, "cpu", []), "latest", 300)
    adversary, good = match.play("script", "script")
    assert adversary[0] == adversary[1] and good[0] == good[1]  # the same episodes
    assert bounds[0] < good[0] < bounds[1]
    chance, _ = match.play("random", "script")
    assert adversary[0] > chance[0] + 10


def test_the_script_prints_three_tables_and_refuses_other_runs(tmp_path, capsys):
    path = run_of(tmp_path / "run", "mpe2")
    capsys.readouterr()
    CROSS_PLAY["main"]([str(path), "--episodes", "10"])
    tables = capsys.readouterr().out.split("\n\n")
    assert [len(table.splitlines()) for table in tables] == [4, 4, 10]
    for words in ([trained(tmp_path / "spread", RANDOM, stored("spread"))], [tmp_path / "none"]):
        with pytest.raises(SystemExit, match=r"^cross_play: "):
            CROSS_PLAY["main"]([str(word) for word in words])
    assert "run=" not in capsys.readouterr().out
    line = "^cross_play: --episodes 0: expected a number of at least 1$"
    with pytest.raises(SystemExit, match=line):
        CROSS_PLAY["main"]([str(path), "--episodes", "0"])
