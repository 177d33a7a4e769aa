"""Tasks as typed and as stored: completed from the games' files, checked by them, and named."""

import pytest

from marlrun.config.nodes import check_node
from marlrun.config.schema import declared
from marlrun.config.tasks import completed, in_short, tasks_of
from marlrun.runner.build import refuse_hidden_targets

TASKS = "marlrun.envs.tasks.Tasks"


def complete(*tasks) -> list[dict]:
    return completed(list(tasks), lambda name, key: declared(f"env/{name}", key))


def node(*tasks) -> dict:
    return {"_target_": TASKS, "num_envs": 1, "tasks": complete(*tasks)}


def capture(**keys) -> dict:
    return {"name": "target_capture", **keys}


def test_a_task_has_all_keys_of_its_game_but_the_number_of_copies():
    (task,) = complete(capture(size=3, motion="random"))
    assert task == {
        "name": "target_capture",
        "_target_": "marlrun.envs.target_capture.TargetCapture",
        "size": 3,
        "num_agents": 2,
        "targets": "one",
        "flicker": 0.0,
        "slip": 0.05,
        "motion": "random",
        "horizon": 60,
        "discount": 0.95,
    }


@pytest.mark.parametrize(
    ("tasks", "names"),
    [
        ([capture(size=3), capture(size=4)], ["size=3", "size=4"]),
        ([capture(size=7)], ["target_capture"]),
        ([capture(), {"name": "meeting_grid"}], ["target_capture", "meeting_grid"]),
        (
            [capture(size=3), {"name": "meeting_grid"}, capture(size=5)],
            ["target_capture_size=3", "meeting_grid", "target_capture_size=5"],
        ),
        (
            [capture(flicker=0.25), capture(motion=[-1, 0]), capture(motion="static")],
            [
                "flicker=0.25_motion=1-0",
                "flicker=0.0_motion=-1-0",
                "flicker=0.0_motion=static",
            ],
        ),
    ],
)
def test_a_name_is_made_of_what_differs(tasks, names):
    assert list(tasks_of(node(*tasks))) == names


def test_the_game_of_a_task_is_a_node_of_its_own():
    games = tasks_of(node(capture(size=3), capture(size=4)))
    assert games["size=4"]["size"] == 4 and games["size=4"]["num_envs"] == 1
    assert "name" not in games["size=4"]
    for game in games.values():
        check_node(game, "env")
    sizes = {"_target_": "marlrun.envs.tasks.TargetCaptureTasks", "num_envs": 9, "sizes": [3, 4]}
    keys = {key: games["size=3"][key] for key in games["size=3"] if key != "size"}
    assert tasks_of({**keys, **sizes}) == games


def test_a_single_game_has_no_tasks():
    assert tasks_of({"_target_": "marlrun.envs.target_capture.TargetCapture", "tasks": [1]}) == {}


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([capture(), capture(size=1)], r"env\.tasks\[1\]\.size=1: expected int \[2, 64\]"),
        ([capture(sise=4)], r"env\.tasks\[0\]\.sise: no such key; did you mean .*\.size\?"),
        ([capture(_target_="os.system")], r"env\.tasks\[0\]\._target_: its name says"),
        ([capture(num_envs=2)], r"env\.tasks\[0\]\.num_envs: env\.num_envs counts"),
        ([{"size": 3}], r"env\.tasks\[0\]=.*: expected \{name: GAME"),
        ([capture(), 3], r"env\.tasks\[1\]=3: expected \{name: GAME"),
        (
            [{"name": "target_capture_tasks"}],
            r"env\.tasks\[0\]\.name=.*: expected one game, neither many tasks itself",
        ),
        ([capture(size=3), capture(size=3)], r"env\.tasks\[1\]: is named .* another task"),
        ([], r"env\.tasks=\[\]: expected one task or more"),
    ],
)
def test_what_is_no_good_is_one_line(tasks, expected):
    with pytest.raises(ValueError, match=expected) as refusal:
        tasks_of(node(*tasks))
    assert "\n" not in str(refusal.value)


def test_in_short_tasks_are_what_was_typed():
    typed = [capture(size=3, motion=[0, 1]), {"name": "meeting_grid"}, capture(size=4)]
    tasks = complete(*typed)
    assert in_short(tasks) == (
        "[{name: target_capture, size: 3, motion: [0, 1]}, {name: meeting_grid}, "
        "{name: target_capture}]"
    )
    for other in ([], [3], 3, None, [{}], [{"name": "mine", "size": 3}], [{"name": ["x"]}]):
        assert in_short(other) is None


def test_a_list_is_expected():
    with pytest.raises(ValueError, match="env.tasks=3: expected a list of tasks"):
        completed(3, lambda name, key: declared(name, key))


@pytest.mark.parametrize("sizes", [[], [3, 4, 3]])
def test_sizes_differ(sizes):
    with pytest.raises(ValueError, match=r"env\.sizes=\[.*\]: expected one size or more"):
        tasks_of({"_target_": "marlrun.envs.tasks.TargetCaptureTasks", "sizes": sizes})


def test_a_stored_node_is_checked_task_by_task():
    stored = node(capture(size=3), capture(size=4))
    check_node(stored, "env")
    for change, expected in [
        ({"size": 1}, r"env\.tasks\[1\]\.size=1: expected int"),
        (
            {"_target_": "marlrun.envs.tasks.Other"},
            r"env\.tasks\[1\]\._target_=.*: expected one of",
        ),
        (
            {"_target_": TASKS},
            r"env\.tasks\[1\]\.name=.*: expected one game, neither many tasks itself",
        ),
        ({"name": None}, r"env\.tasks\[1\]=.*: expected \{name: GAME"),
    ]:
        first, second = stored["tasks"]
        with pytest.raises(ValueError, match=expected):
            check_node({**stored, "tasks": [first, {**second, **change}]}, "env")


def test_a_target_stands_in_a_task_and_nowhere_deeper():
    stored = node(capture(size=3))
    refuse_hidden_targets({"env": stored})
    hidden = {**stored["tasks"][0], "size": {"_target_": "os.system"}}
    for env in (
        {**stored, "tasks": [hidden]},
        {**stored, "_target_": "marlrun.envs.spread.Spread"},
    ):
        with pytest.raises(ValueError, match=r"env\.tasks\[0\].*only algo, env and graph"):
            refuse_hidden_targets({"env": env})
