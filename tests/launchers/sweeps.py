"""Sweeps as a person starts them, in processes of their own, and looks at what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from runner.compare import assert_same_state, record, rows

JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
SMALL = [
    "env=matrix_game",
    "replicas=3",
    "env_steps=1000",
    "eval.every=500",
    "log.every=250",
    "checkpoint.every=100",
    "algo.learning_starts=100",
]
SWEEP = ["algo=dec_hdrqn,dec_drqn", "env.game=climb,penalty", "algo.beta=0.2,0.6", *SMALL]
"""2 x 2 x 2 jobs of 3 seeds."""
TRIVIAL = ["algo=random", "env=matrix_game", "env_steps=0", "eval.final_episodes=1"]


def start(cwd, *argv, **more):
    """Start marlrun in a session of its own, so that a test can find and end all of it."""
    words = [sys.executable, "-m", "marlrun", *map(str, argv)]
    known = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words,
        cwd=cwd,
        env=os.environ | known | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process):
    """Wait for it; return exit code, stdout and stderr."""
    out, err = process.communicate(timeout=300)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def marlrun(cwd, *argv, **more):
    """Run marlrun to its end."""
    return end(start(cwd, *argv, **more))


@contextmanager
def started(cwd, *argv, **more):
    """Lend a running marlrun; nothing of it is left afterwards."""
    process = start(cwd, *argv, **more)
    try:
        yield process
    finally:
        if members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def members(group):
    """Return the process ids of a process group, without what only waits to be reaped."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = map(str.split, listed.stdout.splitlines())
    return [int(pid) for pid, its, state in rows if int(its) == group and state[0] != "Z"]


def jobs(directory):
    """Return the jobs of a sweep as sweep.json has them; none before there is one."""
    path = directory / "sweep.json"
    return json.loads(path.read_text())["jobs"] if path.exists() else []


def statuses(directory):
    return [job["status"] for job in jobs(directory)]


def steps_saved(directory, job):
    """Return how far the newest checkpoint of a job is."""
    steps = (directory / job["directory"] / "checkpoints").glob("step_*.pt")
    return max((int(path.stem.partition("_")[2]) for path in steps), default=0)


def in_the_middle(directory):
    """Return the running jobs that have a checkpoint to go on from."""
    running = [job for job in jobs(directory) if job["status"] == "running"]
    return [job for job in running if steps_saved(directory, job) > 0]


def until(condition, seconds=120):
    """Wait for something, and return it; the machine may be busy with other things."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError


def assert_same_sweep(directory, reference):
    """Compare every job with the one of `reference` that was told the same."""
    known = {tuple(sorted(job["overrides"])): job for job in jobs(reference)}
    for job in jobs(directory):
        same = known[tuple(sorted(job["overrides"]))]
        assert job["status"] == "finished" and job["results"] == same["results"]
        assert job["config"] == same["config"]
        mine, yours = directory / job["directory"], reference / same["directory"]
        assert rows(mine) == rows(yours)
        last = f"checkpoints/step_{record(mine)['env_steps']}.pt"
        assert_same_state(mine / last, yours / last)
