import io
import json

import pytest
from PIL import Image, ImageSequence
from runner.compare import charts, events, hyperparameters, scalars
from runner.fakes import Walk, config

from marlrun.runner.log import Log
from marlrun.runner.train import resume, train
from marlrun.runner.video import encode, film


def opened_log(*args, **kwargs):
    log = Log(*args, **kwargs)
    log.open()
    return log


def test_rows_and_events_say_the_same(tmp_path):
    log = opened_log(tmp_path, [5, 6], end=0, count=0)
    log.write(10, {"a": [1.0, 2.0], "b": [None, 3.0]})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"env_steps": 10, "seed": 5, "a": 1.0},
        {"env_steps": 10, "seed": 6, "a": 2.0, "b": 3.0},
    ]
    assert scalars(tmp_path / "tb/seed_5", "a") == [(10, 1.0)]
    assert scalars(tmp_path / "tb/seed_6", "b") == [(10, 3.0)]


def test_what_a_checkpoint_does_not_know_is_taken_back(tmp_path):
    log = opened_log(tmp_path, [5], end=0, count=0)
    log.write(10, {"a": [1.0]})
    end = log.sync()
    log.write(20, {"a": [2.0]})
    log.write(30, {"a": [3.0]})
    again = opened_log(tmp_path, [5], end=end, count=10)
    again.write(20, {"a": [4.0]})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["a"] for line in lines] == [1.0, 4.0]
    assert scalars(tmp_path / "tb/seed_5", "a") == [(10, 1.0), (20, 4.0)]


def test_a_row_taken_back_at_the_checkpoints_own_step_leaves_the_row_kept_there(tmp_path):
    log = opened_log(tmp_path, [5, 6], end=0, count=0)
    log.write(10, {"a": [1.0, 2.0]})
    end = log.sync()
    log.write(10, {"b": [3.0, 4.0]})
    again = opened_log(tmp_path, [5, 6], end=end, count=10)
    again.write(20, {"b": [5.0, 6.0]})
    assert scalars(tmp_path / "tb/seed_6", "a") == [(10, 2.0)]
    assert scalars(tmp_path / "tb/seed_6", "b") == [(20, 6.0)]


def test_a_log_without_a_checkpoint_begins_anew(tmp_path):
    opened_log(tmp_path, [5], end=0, count=0).write(0, {"a": [1.0]})
    opened_log(tmp_path, [5], end=0, count=0).write(0, {"a": [2.0]})
    assert scalars(tmp_path / "tb/seed_5", "a") == [(0, 2.0)]


def test_a_shortened_log_is_told(tmp_path):
    with pytest.raises(ValueError, match="metrics.jsonl is shorter than its checkpoint says: 5"):
        opened_log(tmp_path, [5], end=5, count=10)


def test_the_mean_over_seeds_has_a_board_of_its_own(tmp_path):
    # 1, 2, 3: mean 2, and 4.30265 standard errors of 1 / sqrt 3 around it.
    log = opened_log(tmp_path, [5, 6, 7], end=0, count=0)
    log.write(0, {"eval/return_mean": [1.0, 2.0, 3.0], "perf/seconds": [1.0, 1.0, 1.0]})
    log.write(10, {"eval/return_mean": [4.0, 4.0, 4.0], "loss/td": [1.0, None, 3.0]})
    log.write(20, {"loss/td": [1.0, None, 3.0]})
    mean = tmp_path / "tb/mean"
    assert scalars(mean, "eval/return_mean") == [(0, 2.0), (10, 4.0)]
    assert scalars(mean, "interval/return_mean/mean") == [(0, 2.0), (10, 4.0)]
    (_, low), (_, narrow) = scalars(mean, "interval/return_mean/low")
    (_, high), _ = scalars(mean, "interval/return_mean/high")
    assert (low, narrow, high) == (
        pytest.approx(-0.48414, abs=1e-5),
        4.0,
        pytest.approx(4.48414, abs=1e-5),
    )
    assert len(events(mean).Tags()["scalars"]) == 4


def test_the_charts_are_those_there_are_numbers_for(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    both = {"eval/return_mean": [1.0, 2.0], "eval/return_fraction": [0.5, 1.0]}
    opened_log(tmp_path / "one", [5, 6], end=0, count=0).write(0, both)
    band, fraction, seeds = charts(tmp_path / "one/tb/mean")
    (series,) = fraction.margin.series
    assert series.value == "interval/return_fraction/mean"
    assert series.lower == "interval/return_fraction/low"
    assert series.upper == "interval/return_fraction/high"
    assert list(seeds.multiline.tag) == ["eval/return_mean$"]
    del both["eval/return_fraction"]
    opened_log(tmp_path / "other", [5, 6], end=0, count=0).write(0, both)
    assert charts(tmp_path / "other/tb/mean") == [band, seeds]


def test_the_mean_is_no_session_of_hyperparameters(tmp_path):
    train(config(env_steps=40), tmp_path, [])
    assert list(events(tmp_path / "tb/mean").PluginTagToContent("custom_scalars"))
    with pytest.raises(KeyError):
        hyperparameters(tmp_path / "tb/mean")


def test_one_seed_has_no_mean(tmp_path):
    train(config(replicas=1, env_steps=40), tmp_path, [])
    assert [path.name for path in (tmp_path / "tb").iterdir()] == ["seed_3"]


def test_hyperparameters_are_in_the_runs_own_events(tmp_path):
    train(config(env_steps=80, name="mine", choices={"algo": "own"}), tmp_path, [])
    resume(tmp_path, 120, ["runner"])
    assert {path.name for path in (tmp_path / "tb").iterdir()} == {"mean", "seed_3", "seed_4"}
    assert all(path.is_file() for path in (tmp_path / "tb/seed_3").iterdir())
    shown = hyperparameters(tmp_path / "tb/seed_3")
    assert (shown["name"], shown["algo"], shown["env"]) == ("mine", "own", "fakes")
    assert (shown["algo.lr"], shown["env_steps"]) == (0.01, 120)
    steps = [step for step, _ in scalars(tmp_path / "tb/seed_3", "eval/return_mean")]
    assert steps == [0, 40, 80, 120]


def durations(data: bytes) -> list[int]:
    """Return how many milliseconds each frame of a GIF stands."""
    return [
        int(frame.info["duration"])
        for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    ]


def test_a_gif_is_an_image_in_tensorboard(tmp_path):
    import torch

    env = Walk([0], torch.device("cpu"), num_envs=1, goal=4, starts=1)
    frames = list(film(env, lambda step: torch.tensor([1, 2]).expand(step.reward.shape)))
    assert len(frames) == 5
    data = encode(frames)
    image = Image.open(io.BytesIO(data))
    assert (image.n_frames, image.size) == (5, (40, 4))
    assert durations(data) == [200] * 4 + [1000]
    assert durations(encode(iter(frames), frames_per_second=10)) == [100] * 4 + [1000]
    log = opened_log(tmp_path, [5], end=0, count=0)
    log.boards[0].gif(10, "episode", data, 4, 40)
    (shown,) = events(tmp_path / "tb/seed_5").Images("episode")
    assert (shown.step, shown.encoded_image_string) == (10, data)
