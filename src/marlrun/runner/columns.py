"""Columns of an evaluation: tag -> a number for each episode, float64 [R, E] on the CPU."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from marlrun.runner import console
from marlrun.runner.meters import floats


def over_tasks(columns_by_task: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean over tasks of every tag that all have, and each task's own evaluation.

    `columns_by_task` holds tag -> [R, E] by the tasks' names; the tag `eval/return_mean` of a task is
    `eval/task/NAME/return_mean`.
    """
    first, *others = columns_by_task.values()
    shared = [tag for tag in first if all(tag in columns for columns in others)]
    columns = {
        tag: torch.stack([columns[tag] for columns in columns_by_task.values()]).mean(0)
        for tag in shared
    }
    for name, columns_of_task in columns_by_task.items():
        for tag, column in columns_of_task.items():
            if tag.startswith("eval/"):
                columns[f"eval/task/{name}/{tag.removeprefix('eval/')}"] = column
    return columns


def means(blocks: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return each replica's mean over all episodes of `blocks`: tag -> float64 [R]."""
    sums: dict[str, Tensor] = {}
    episodes = 0
    for block in blocks:
        for tag, column in block.items():
            total = column.sum(1)
            sums[tag] = sums[tag] + total if tag in sums else total
        episodes += block[console.HEADLINE].shape[1]
    return {tag: total / episodes for tag, total in sums.items()}


def joined(blocks: Sequence[Mapping[str, Tensor]]) -> dict[str, list[float]]:
    """Return tag -> one number per episode of the only replica."""
    tags = blocks[0]
    return {tag: [x for block in blocks for x in floats(block[tag][0])] for tag in tags}
