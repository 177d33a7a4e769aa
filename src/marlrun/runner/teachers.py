"""The teachers that a job learns from: the files that hold them, and whether they fit the job."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, cast

import torch

from marlrun.nets.teacher import Teacher, teacher
from marlrun.runner.checkpoint import FORMAT, load
from marlrun.runner.elsewhere import differences
from marlrun.runner.inputs import TEACHERS
from marlrun.runner.shapes import misfit
from marlrun.system.errors import with_type
from marlrun.system.output import say
from marlrun.system.reading import LARGEST, InputFile
from marlrun.types import Seeds, Spec, StateDict

Node = Mapping[str, Any]


def teacher_file(path: str, content: StateDict) -> InputFile:
    """Return a file of this content, tensors and plain values, to be kept for the run at `path`.

    ValueError if it is larger than files that are read again.
    """
    buffer = BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    if (size := len(buffer.getvalue())) > LARGEST:
        raise ValueError(f"its networks take {size} bytes, expected at most {LARGEST}")
    return InputFile(path, buffer.getvalue())


def open_teachers(algo: Node, spec: Spec, seeds: Seeds, device: torch.device) -> list[Teacher]:
    """Return the teachers in an algorithm's files, for a game and as many replicas as seeds.

    ValueError, in one line, if they are not one for each task, if a file is damaged, or if a teacher
    is of other agents, sizes or numbers of replicas.
    """
    files = _files(algo)
    _check_number(files, spec)
    return [
        _fitting_teacher(f"{TEACHERS}[{index}]={file.path}", file, spec, seeds, device)
        for index, file in enumerate(files)
    ]


def tell_differences(algo: Node, games: Sequence[Node]) -> None:
    """Say on stderr in which keys a teacher's game differs from the one of its task in `games`."""
    for index, (file, game) in enumerate(zip(_files(algo), games, strict=False)):
        trained = _content(file).get("env")
        nodes = cast(Node, trained) if isinstance(trained, Mapping) else game, game
        before, now = ({"env": {**node, "num_envs": 1}} for node in nodes)
        if texts := differences(before, now, "env").values():
            say(f"marlrun: {TEACHERS}[{index}]={file.path}: elsewhere: {', '.join(texts)}")


def of_replicas(algo: Node, replicas: Sequence[int]) -> Node:
    """Return an algorithm's node with the teachers, where it has some, of some replicas alone."""
    files = [_part(file, replicas) for file in _files(algo)]
    return {**algo, "teachers": files} if files else algo


def _part(file: InputFile, replicas: Sequence[int]) -> InputFile:
    content = _content(file)
    part = teacher(content["teacher"], torch.device("cpu")).of_replicas(replicas)
    return teacher_file(file.path, {**content, "teacher": part.state_dict()})


def _files(algo: Node) -> list[InputFile]:
    values = algo.get("teachers")
    values = cast("list[Any]", values) if isinstance(values, list) else []
    return [value for value in values if isinstance(value, InputFile)]


def _check_number(files: Sequence[InputFile], spec: Spec) -> None:
    """Raise ValueError unless there is one teacher for each task."""
    if len(files) != max(1, len(spec.tasks)):
        paths, tasks = (", ".join(part) for part in ([file.path for file in files], spec.tasks))
        expected = f"{len(spec.tasks)} finished runs, one for each task in this order: {tasks}"
        if not spec.tasks:
            expected = "one finished run, for the game is one task"
        raise ValueError(f"{TEACHERS}=[{paths}]: expected {expected}")


def _fitting_teacher(
    where: str, file: InputFile, spec: Spec, seeds: Seeds, device: torch.device
) -> Teacher:
    """Return the teacher in a file; ValueError unless it fits the game and the number of seeds."""
    with _expecting_teacher(where):
        fitting = teacher(_content(file)["teacher"], device)
    if problem := misfit(fitting.spec, spec, "the teacher was trained with"):
        raise ValueError(f"{where}: {problem}")
    if fitting.num_replicas != len(seeds):
        count = fitting.num_replicas
        raise ValueError(
            f"replicas={len(seeds)}: expected {count}, for replica r learns from replica r of "
            f"its teachers, and {where} has {count}"
        )
    return fitting


def _content(file: InputFile) -> StateDict:
    return load(file, torch.device("cpu"))


@contextmanager
def _expecting_teacher(where: str) -> Generator[None]:
    """Make whatever is raised a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{where}: expected a run that teaches: {with_type(error)}") from error
