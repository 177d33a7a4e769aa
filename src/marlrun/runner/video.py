"""GIFs of episodes: into videos/ and, as images, into TensorBoard."""

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from marlrun.config.unit import Unit, stem
from marlrun.envs.common.render import FRAMES_PER_SECOND
from marlrun.runner.tensorboard import Board, board_directory
from marlrun.system.writing import write_atomically
from marlrun.types import Env, Policy


def record(
    env: Env,
    policy: Policy,
    directory: Path,
    seed: int,
    count: int,
    unit: Unit = "env_steps",
    tag: str = "episode",
) -> Path:
    """Play an episode in the first replica of `env`, trained by `seed`; return the GIF's path.

    `count` is how far the policy's training was. `tag` is the image's in TensorBoard; another than
    `episode` is part of the file's name, too.
    `check_drawable` says beforehand whether the environment can draw itself.
    """
    data = encode(film(env, policy), getattr(env, "frames_per_second", FRAMES_PER_SECOND))
    suffix = "" if tag == "episode" else f"_{tag}"
    path = directory / "videos" / f"{stem(unit, count)}_seed_{seed}{suffix}.gif"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: file.write(data))
    width, height = Image.open(BytesIO(data)).size
    Board(board_directory(directory, seed)).gif(count, tag, data, height, width)
    return path


def check_drawable(env: Env) -> None:
    """Raise ValueError if an environment cannot draw itself; tell one that it will be asked to."""
    if getattr(env, "render", None) is None:
        raise ValueError(f"video=true: {type(env).__name__} cannot draw itself")
    begin_drawing: Callable[[], None] | None = getattr(env, "begin_drawing", None)
    if begin_drawing is not None:
        begin_drawing()


@torch.no_grad()
def film(env: Any, policy: Policy) -> Iterator[np.ndarray]:
    """Play until the first copy of the first replica is done; yield uint8 frames [H, W, 3]."""
    step = env.reset()
    yield env.render("rgb_array")
    for _ in range(env.spec.horizon):
        after = env.step(policy(step))
        yield env.render("rgb_array")
        if after.done[0, 0]:
            break
        step = env.restart(after)


def encode(frames: Iterable[np.ndarray], frames_per_second: int = FRAMES_PER_SECOND) -> bytes:
    """Return frames [H, W, 3] as an endlessly looping GIF; the last one stands for a second.

    Frames are taken one by one, and kept in 256 colours.
    """
    images = _with_pause(map(Image.fromarray, frames), frames_per_second)
    first, file, duration = next(images), BytesIO(), 1000 // frames_per_second
    first.save(file, "GIF", save_all=True, append_images=images, duration=duration, loop=0)
    return file.getvalue()


def _with_pause(images: Iterator[Image.Image], count: int) -> Iterator[Image.Image]:
    """Yield images, the last one `count` times, which become one that stands longer."""
    image = next(images)
    for later in images:
        yield image
        image = later
    yield from repeat(image, count)
