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
PATHS = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
OURS = {"PYTHONPATH": os.pathsep.join(PATHS), "OMP_NUM_THREADS": "1"}
"""What the environment of every process has: our plugins, and one thread."""
INTO = "hydra.sweep.dir=sweep"
TRIVIAL = ["algo=random", "env=matrix_game", "env_steps=0", "eval.final_episodes=1"]


class Desk:
    """A directory where a person types commands, most of them about the sweep in `sweep`."""

    def __init__(self, place):
        self.place, self.sweep = place, place / "sweep"

    def start(self, *argv, **more):
        """Start marlrun in a session of its own, so that a test can find and end all of it."""
        return subprocess.Popen(
            [sys.executable, "-m", "marlrun", *map(str, argv)],
            cwd=self.place,
            env=os.environ | OURS | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def marlrun(self, *argv, **more):
        """Run marlrun to its end."""
        return end(self.start(*argv, **more))

    def sweeps(self, *argv, **more):
        """Do a sweep to its end."""
        return self.marlrun("-m", INTO, *argv, **more)

    def resumes(self, *argv, **more):
        """Go on with the sweep to its end."""
        return self.marlrun("mode=resume", "run=sweep", *argv, **more)

    @contextmanager
    def sweeping(self, *argv, **more):
        """Lend a sweep that is being done; nothing of it is left afterwards."""
        process = self.start("-m", INTO, *argv, **more)
        try:
            yield process
        finally:
            if members(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def jobs(self, name="sweep"):
        """Return the jobs of a sweep as sweep.json has them; none before there is one."""
        path = self.place / name / "sweep.json"
        return json.loads(path.read_text())["jobs"] if path.exists() else []

    def statuses(self, name="sweep"):
        return [job["status"] for job in self.jobs(name)]

    def record(self, job):
        """Return what run.json of a job says."""
        return record(self.sweep / job["directory"])

    def steps_saved(self, job):
        """Return how far the newest checkpoint of a job is."""
        steps = (self.sweep / job["directory"] / "checkpoints").glob("step_*.pt")
        return max((int(path.stem.partition("_")[2]) for path in steps), default=0)

    def in_the_middle(self):
        """Return the running jobs that have a checkpoint to go on from."""
        running = [job for job in self.jobs() if job["status"] == "running"]
        return [job for job in running if self.steps_saved(job) > 0]

    def assert_same_as(self, reference):
        """Compare every job with the one on the desk `reference` that was told the same."""
        known = {tuple(sorted(job["overrides"])): job for job in reference.jobs()}
        for job in self.jobs():
            same = known[tuple(sorted(job["overrides"]))]
            assert job["status"] == "finished" and job["results"] == same["results"]
            assert job["config"] == same["config"]
            mine, yours = self.sweep / job["directory"], reference.sweep / same["directory"]
            assert rows(mine) == rows(yours)
            last = f"checkpoints/step_{record(mine)['env_steps']}.pt"
            assert_same_state(mine / last, yours / last)


def end(process):
    """Wait for it; return exit code, stdout and stderr."""
    out, err = process.communicate(timeout=300)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def members(group):
    """Return the process ids of a process group, without what only waits to be reaped."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = map(str.split, listed.stdout.splitlines())
    return [int(pid) for pid, its, state in rows if int(its) == group and state[0] != "Z"]


def until(condition, seconds=120):
    """Wait for something, and return it; the machine may be busy with other things."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError
