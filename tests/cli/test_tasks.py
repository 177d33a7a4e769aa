"""Tasks on the command line: completed from files, also those of a user, and refused at once."""

import json
from pathlib import Path

import mymarl
import pytest
import test_cli
from test_cli import Marlrun, refused

marlrun, trained = test_cli.marlrun, test_cli.trained
TASKS = ["algo=random", "env=tasks"]


def sizes(*numbers: int) -> str:
    return f"env.tasks=[{', '.join(f'{{name: target_capture, size: {n}}}' for n in numbers)}]"


def test_tasks_are_completed_before_they_are_stored(marlrun: Marlrun, trained):
    assert marlrun(*TASKS, sizes(3, 4)).code == 0
    env = trained[0][0]["env"]
    assert [task["size"] for task in env["tasks"]] == [3, 4]
    assert all(task["motion"] == [1, 0] and task["horizon"] == 60 for task in env["tasks"])


def test_a_game_of_the_user_is_found_as_env_finds_it(marlrun: Marlrun, trained):
    Path("mine/env").mkdir(parents=True)
    text = "defaults: [target_capture, _self_]\nhorizon: 9   # int [1, 10]: steps\n"
    Path("mine/env/short.yaml").write_text(text)
    tasks = "env.tasks=[{name: short}, {name: target_capture, size: 5}]"
    assert marlrun("--config-dir", "mine", *TASKS, tasks).code == 0
    short, other = trained[0][0]["env"]["tasks"]
    assert (short["name"], short["horizon"], short["size"], other["horizon"]) == ("short", 9, 4, 60)
    wrong = "env.tasks=[{name: short, horizon: 11}]"
    said = refused(marlrun("--config-dir", "mine", *TASKS, wrong))
    assert said == "env.tasks[0].horizon=11: expected int [1, 10] (steps)"


def test_a_sweep_varies_tasks(marlrun: Marlrun, trained, monkeypatch):
    assert marlrun("-m", *TASKS, f"{sizes(3, 4)},{sizes(5)[10:]}").code == 0
    sizes_of_jobs = [[task["size"] for task in asked[0]["env"]["tasks"]] for asked in trained]
    assert sizes_of_jobs == [[3, 4], [5]]


def test_games_of_a_plugin_are_tasks(marlrun: Marlrun):
    files = ["--config-dir", str(Path(mymarl.__file__).parent / "conf")]
    tasks = "env.tasks=[{name: corridor, slip: 0.1}, {name: corridor, slip: 0.4}]"
    words = [*TASKS, tasks, "env_steps=30", "replicas=2", "hydra.run.dir=run"]
    assert marlrun(*files, *words, "plugins=[mymarl]").code == 0
    said = marlrun("mode=eval", "run=run", "episodes=3", "plugins=[mymarl]")
    assert "eval/task/slip=0.4/return_fraction" in json.loads(said.out.splitlines()[-1])
    # What the stored tasks name is no permission.
    assert "named by plugins=[..] on the" in refused(marlrun("mode=eval", "run=run"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([sizes(3, 1)], "env.tasks[1].size=1: expected int [2, 64] (the torus is size x size)"),
        (["env.tasks=[{name: target_captur}]"], "; did you mean target_capture?"),
        (["env.tasks=[{name: pettingzoo}]"], "expected one game, neither many tasks itself"),
        (["env.tasks=3"], "env.tasks=3: expected list of dict"),
        (["env.tasks=[]"], "env.tasks=[]: expected one task or more"),
        ([], "env.tasks missing: expected env.tasks=list of dict"),
        ([sizes(3, 3)], "env.tasks[1]: is named target_capture as env.tasks[0]"),
        (["env.tasks=[{name: target_capture}, {name: meeting_grid}]"], "tasks of equal shape"),
    ],
)
def test_what_is_no_good_is_one_line_and_leaves_nothing(marlrun: Marlrun, words, expected):
    assert expected in refused(marlrun(*TASKS, *words))
    assert not list(Path().iterdir())
