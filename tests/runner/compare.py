"""Whether two run directories hold the same run, bit for bit."""

import json

import torch

from marlrun.runner.nested import leaves


def rows(directory, perf=False):
    """Return the lines of metrics.jsonl, without the speed unless asked for."""
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [
        {tag: value for tag, value in line.items() if perf or not tag.startswith("perf/")}
        for line in lines
    ]


def record(directory):
    """Return run.json."""
    return json.loads((directory / "run.json").read_text())


def state(path):
    """Return a checkpoint's leaves by path, without the length of the log (it holds the speed)."""
    checkpoint = torch.load(path, weights_only=True)
    return {where: leaf for where, leaf in leaves(checkpoint) if where != "log_end"}


def assert_same_state(path, other):
    """Compare two checkpoints tensor by tensor."""
    mine, yours = state(path), state(other)
    assert mine.keys() == yours.keys()
    for where, leaf in mine.items():
        same = torch.equal(leaf, yours[where]) if torch.is_tensor(leaf) else leaf == yours[where]
        assert same, where


def assert_same_run(directory, other):
    """Compare logs, results, and the best and last checkpoints (an interruption adds one)."""
    assert rows(directory) == rows(other)
    assert record(directory)["results"] == record(other)["results"]
    for name in ("best", f"step_{record(directory)['env_steps']}"):
        path = f"checkpoints/{name}.pt"
        assert_same_state(directory / path, other / path)
