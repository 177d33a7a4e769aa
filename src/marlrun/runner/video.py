"""GIFs of episodes: into videos/ and, as images, into TensorBoard."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from marlrun.config.unit import Unit, stem
from marlrun.runner.tensorboard import Board, board_directory
from marlrun.system.writing import write_atomically
from marlrun.types import Env, Policy

FRAME_MS = 200


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
    frames = film(env, policy)
    data = encode(frames)
    suffix = "" if tag == "episode" else f"_{tag}"
    path = directory / "videos" / f"{stem(unit, count)}_seed_{seed}{suffix}.gif"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: file.write(data))
    height, width = frames[0].shape[:2]
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
def film(env: Any, policy: Policy) -> list[np.ndarray]:
    """Play until the first copy of the first replica is done; return uint8 frames [H, W, 3]."""
    step = env.reset()
    frames = [env.render("rgb_array")]
    for _ in range(env.spec.horizon):
        after = env.step(policy(step))
        frames.append(env.render("rgb_array"))
        if after.done[0, 0]:
            break
        step = env.restart(after)
    return frames


def encode(frames: Sequence[np.ndarray]) -> bytes:
    """Return frames [H, W, 3] as an endlessly looping GIF; the last one stands longer."""
    first, *rest = (Image.fromarray(frame) for frame in frames)
    durations = [FRAME_MS] * len(rest) + [5 * FRAME_MS]
    file = BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return file.getvalue()
