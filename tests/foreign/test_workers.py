"""Copies in processes: the same numbers, and nothing stays behind."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from foreign.playing import make, play, same

from marlrun.envs.pettingzoo import workers
from marlrun.system.errors import PlayError

LEAVING = {"ends": [[1, "terminated"], [3, "truncated"], [3, "terminated"]]}


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("Toy", LEAVING),
        ("MaskedByInfos", LEAVING),
        ("Unequal", {}),
        ("pettingzoo.butterfly.knights_archers_zombies_v11", {}),
    ],
)
def test_processes_change_no_number(name, kwargs):
    keys = {"kwargs": kwargs, "seeds": (3, 4), "num_envs": 3, "horizon": 20, "state": True}
    expected = play(make(name, **keys), 45)
    for number in (1, 4, 9):
        assert same(expected, play(make(name, workers=number, **keys), 45))


def alive(pid):
    """Say whether a process exists; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_is_killed_is_named_and_the_others_end():
    env = make(seeds=(3, 4), num_envs=2, workers=2)
    play(env, 2)
    pids = [worker.process.pid for worker in env._copies.workers]
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(PlayError) as caught:
        play(env, 2)
    assert str(caught.value) == (
        "env.id=foreign.toys:Toy, seed 4, copy 0, episode 2, step 0: "
        "process 2 of 2 was ended by SIGKILL"
    )
    del env, caught
    gc.collect()
    workers._end_idle()
    until(lambda: not any(map(alive, pids)))


def test_a_game_that_fails_is_named_as_in_this_process():
    messages = []
    for number in (0, 2):
        env = make("Crash", seeds=(3, 4), num_envs=2, workers=number, kwargs={"at": 3})
        with pytest.raises(PlayError) as caught:
            play(env, 5)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "seed 3, copy 0, episode 1, step 3" in messages[0]
    assert "the last line" in caught.value.__cause__.__notes__[0], "the traceback of the process"


def test_a_game_that_prints_does_not_disturb_the_answers(capfd):
    env = make("Loud", workers=1)
    assert same(play(env, 3), play(make("Toy"), 3))
    said = capfd.readouterr()
    assert said.out == ""


def test_a_process_is_used_again():
    workers._end_idle()
    first = make(workers=1)
    first.reset()
    process = first._copies.workers[0].process
    del first
    second = make("Unequal", workers=1)
    assert same(play(second, 3), play(make("Unequal"), 3))
    assert second._copies.workers[0].process is process
    del second
    process.kill()
    process.wait()
    assert same(play(make(workers=1), 3), play(make(), 3)), "one that has died is replaced"


def test_no_process_is_begun_before_a_reset_and_none_imports_torch():
    workers._end_idle()
    env = make(workers=3)
    assert env._copies is None and not workers._IDLE
    code = "import sys, marlrun.envs.pettingzoo.workers; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_a_game_that_hangs_is_ended_at_once_when_it_is_not_needed_any_more():
    env = make("Hangs", workers=2, num_envs=2)
    env.reset()
    pids = [worker.process.pid for worker in env._copies.workers]
    for worker in env._copies.workers:
        worker.send(("step", np.zeros((1, 3), np.int64)))
    begun = time.monotonic()
    del env, worker
    gc.collect()
    assert time.monotonic() - begun < workers._PATIENCE
    until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGKILL, "Toy"),
        (signal.SIGKILL, "Hangs"),
        (signal.SIGTERM, "Toy"),
        (signal.SIGINT, "Hangs"),
    ],
)
def test_no_process_outlives_its_parent(number, name, tmp_path, hangup):
    code = """
        import sys, time
        sys.path[:0] = PATH
        from foreign.playing import make
        env = make(NAME, num_envs=2, workers=2)
        step = env.reset()
        print(*(worker.process.pid for worker in env._copies.workers), flush=True)
        env.step(step.reward.long())
        time.sleep(60)
    """
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(code).replace("PATH", repr(sys.path)).replace("NAME", repr(name))
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with parent:
        pids = list(map(int, parent.stdout.readline().split()))
        assert len(pids) == 2 and all(map(alive, pids))
        os.killpg(parent.pid, number)
        parent.wait()
        until(lambda: not any(map(alive, pids)))
