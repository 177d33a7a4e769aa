"""Whether two run directories hold the same run, bit for bit."""

import json

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from marlrun.config.nested import leaves
from marlrun.config.unit import stem, unit_of


def rows(directory, perf=False):
    """Return the lines of metrics.jsonl, without the speed unless asked for."""
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [
        {tag: value for tag, value in line.items() if perf or not tag.startswith("perf/")}
        for line in lines
    ]


def events(directory):
    """Return what TensorBoard reads in a directory."""
    found = EventAccumulator(str(directory))
    found.Reload()
    return found


def scalars(directory, tag):
    """Return a curve: (step, value)s."""
    return [(event.step, event.value) for event in events(directory).Scalars(tag)]


def hyperparameters(directory):
    """Return what the HPARAMS tab shows of a directory."""
    (content,) = events(directory).PluginTagToContent("hparams").values()
    fields = HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in fields.items()}


def charts(directory):
    """Return what the CUSTOM SCALARS tab shows of a directory."""
    found = events(directory)
    if "custom_scalars__config__" not in found.Tags()["tensors"]:
        return []
    (event,) = found.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    return list(category.chart)


def assert_same_board(directory, other):
    """Compare what TensorBoard shows, but for the speed."""
    mine, yours = (sorted((run / "tb").iterdir()) for run in (directory, other))
    assert [path.name for path in mine] == [path.name for path in yours]
    for one, two in zip(mine, yours, strict=True):
        tags = events(one).Tags()["scalars"]
        assert sorted(tags) == sorted(events(two).Tags()["scalars"])
        for tag in tags:
            assert tag.startswith("perf/") or scalars(one, tag) == scalars(two, tag), tag
        assert charts(one) == charts(two)
        if one.name != "mean":
            assert hyperparameters(one) == hyperparameters(two)


def record(directory):
    """Return run.json."""
    return json.loads((directory / "run.json").read_text())


def state(path):
    """Return a checkpoint's leaves by path, without time and the length of the log that tells it."""
    checkpoint = torch.load(path, weights_only=True)
    return {
        where: leaf
        for where, leaf in leaves(checkpoint, into_lists=True)
        if where not in ("log_end", "seconds")
    }


def assert_same_state(path, other):
    """Compare two checkpoints tensor by tensor."""
    mine, yours = state(path), state(other)
    assert mine.keys() == yours.keys()
    for where, leaf in mine.items():
        same = torch.equal(leaf, yours[where]) if torch.is_tensor(leaf) else leaf == yours[where]
        assert same, where


def assert_same_run(directory, other):
    """Compare logs, curves, results, the last checkpoints, and the best where one is selected."""
    assert rows(directory) == rows(other)
    assert_same_board(directory, other)
    assert record(directory)["results"] == record(other)["results"]
    unit = unit_of(record(directory))
    best = [path.stem for run in (directory, other) for path in run.glob("checkpoints/best.pt")]
    for name in {*best, stem(unit, record(directory)[unit])}:
        path = f"checkpoints/{name}.pt"
        assert_same_state(directory / path, other / path)
