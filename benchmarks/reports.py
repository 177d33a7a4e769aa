"""The report of many runs, beside bare reading of their logs."""

import json
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from benchmarks.timing import Effort
from marlrun.report.cli import main

NUM_POINTS = 1000


def report(effort: Effort) -> list[dict[str, Any]]:
    """marlrun-report on runs of 1,000 points; ratio: CPU time over that of json.loads of all lines."""
    num_runs = 1000 if effort.rounds > 3 else 20
    with tempfile.TemporaryDirectory() as place:
        runs, out = Path(place, "runs"), Path(place, "report")
        for number in range(num_runs):
            _write(runs / str(number), number)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            bare = _seconds(lambda: _parse(runs))
            whole = _seconds(lambda: _succeed(main([str(runs), "--out", str(out)])))
    return [
        {"what": what, "runs": num_runs, "seconds": seconds, "ratio": seconds / bare}
        for what, seconds in (("json.loads", bare), ("marlrun-report", whole))
    ]


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _succeed(exit_code: int) -> None:
    assert exit_code == 0, exit_code


def _parse(runs: Path) -> None:
    for path in runs.glob("*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line)


def _write(directory: Path, number: int) -> None:
    """Write a run of one seed: one of 10 algorithms on one of 10 sizes, 10 seeds each."""
    directory.mkdir(parents=True)
    seed, algo, size = number % 10, number // 10 % 10, 3 + number // 100
    source = random.Random(number)
    nodes = {
        "algo": {"_target_": "marlrun.algos.dec_hdrqn.DecHDRQN", "beta": algo / 10},
        "env": {"_target_": "marlrun.envs.target_capture.TargetCapture", "size": size},
    }
    choices = {"algo": "dec_hdrqn", "env": "target_capture"}
    config = nodes | {"seed": seed, "replicas": 1, "env_steps": 1000 * NUM_POINTS}
    (directory / "config.yaml").write_text(yaml.safe_dump(config | {"choices": choices}))
    values = [step / NUM_POINTS + 0.1 * source.random() for step in range(NUM_POINTS)]
    with (directory / "metrics.jsonl").open("w") as file:
        for step, value in enumerate(values):
            row = {"env_steps": 1000 * step, "seed": seed, "eval/return_mean": value}
            more = {"eval/length_mean": 60 - value, "perf/seconds": 1.0 * step}
            file.write(json.dumps(row | more | {"agent/agent_0/return": value}) + "\n")
    record = {"status": "finished", "argv": ["marlrun"], "seeds": [seed], **choices}
    results = {"eval/return_mean": [values[-1]]}
    record |= {"exact": {"optimum": 1.2, "random": 0.0}, "results": results}
    (directory / "run.json").write_text(json.dumps(record | {"env_steps": 1000 * NUM_POINTS}))
