"""Copies of a foreign game in processes of their own, which play side by side.

A process is told what to do by its standard input and answers by its standard output, in pickles.
It imports no torch. It ends when its input does, or soon after its parent, if a game hangs then:
whatever happens to its parent, nothing stays.
"""

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from marlrun.envs.pettingzoo.adapter import Adapter, Copies, CopyError, Row, joined
from marlrun.envs.pettingzoo.names import Recipe
from marlrun.system.errors import with_type


class Workers:
    """Copies in several processes; answers as `Copies` does, with the same numbers."""

    def __init__(self, recipe: Recipe, number: int, processes: int):
        """Divide `number` copies among at most so many processes."""
        starts = np.linspace(0, number, min(number, processes) + 1).round().astype(int).tolist()
        self._shares = [range(*ends) for ends in zip(starts, starts[1:], strict=False)]
        self.workers = [_take() for _ in self._shares]
        weakref.finalize(self, _release, self.workers)
        self._ask([("make", recipe, len(share)) for share in self._shares])

    def reset(self, indices: Sequence[int], seeds: Sequence[int]) -> Row:
        """Begin the episode of a seed in each of these copies, ascending; return their rows."""
        pairs = list(zip(indices, seeds, strict=True))
        questions: list[Any] = []
        for share in self._shares:
            part = [(index - share.start, seed) for index, seed in pairs if index in share]
            questions.append(("reset", *zip(*part, strict=True)) if part else None)
        return joined(self._ask(questions))

    def step(self, actions: NDArray[np.int64]) -> Row:
        """Play actions [C, N]; return the rows of all copies."""
        parts = [actions[share.start : share.stop] for share in self._shares]
        return joined(self._ask([("step", part) for part in parts]))

    def _ask(self, questions: Sequence[Any]) -> list[Row]:
        """Ask every process its question, if there is one, and return the answers.

        CopyError, with the copy's number among all, if a copy fails or a process has ended.
        """
        asked = [place for place, question in enumerate(questions) if question is not None]
        for place in asked:
            self.workers[place].send(questions[place])
        answers = [self._answer(place) for place in asked]
        for answer in answers:
            if isinstance(answer, CopyError):
                raise answer
        return cast(list[Row], answers)

    def _answer(self, place: int) -> Row | CopyError:
        worker, start = self.workers[place], self._shares[place].start
        try:
            answer = worker.receive()
        except (EOFError, OSError, pickle.UnpicklingError):
            return CopyError(start, f"process {place + 1} of {len(self.workers)} {worker.end()}")
        if isinstance(answer, CopyError):
            answer.index += start
        return answer


class Worker:
    """A process that plays copies; it can be used again for those of another game."""

    def __init__(self) -> None:
        # In a session of its own no Ctrl-C reaches it: its parent says when it is enough.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            start_new_session=True,
        )
        self._stdin = cast(IO[bytes], self.process.stdin)
        self._stdout = cast(IO[bytes], self.process.stdout)
        self.is_idle = True
        self._parent = os.getpid()

    @property
    def can_be_used(self) -> bool:
        """Whether it waits for a question of this process, not of one that this was forked from."""
        return self.is_idle and self._parent == os.getpid() and self.process.poll() is None

    def send(self, question: Any) -> None:
        """Ask a question. Whether the process has ended shows when the answer is received."""
        self.is_idle = False
        with suppress(OSError):
            _write(question, self._stdin)

    def receive(self) -> Any:
        """Return the answer; EOFError or OSError if the process has ended."""
        answer = pickle.load(self._stdout)
        self.is_idle = True
        return answer

    def kill_if_busy(self) -> None:
        """Kill a process that this one has asked, and that plays: its game may hang."""
        if not self.is_idle and self._parent == os.getpid():
            self.process.kill()

    def end(self) -> str:
        """End the process and say how it ended."""
        with suppress(OSError):
            self._stdin.close()
        try:
            code = self.process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._stdout.close()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


_PATIENCE = 5.0
"""How many seconds a process that is to end may take."""
_IDLE: list[Worker] = []
"""Processes without a game, for the next: every evaluation needs some, and to begin one takes time."""


def _take() -> Worker:
    while _IDLE:
        worker = _IDLE.pop()
        if worker.can_be_used:
            return worker
        worker.end()
    return Worker()


def _release(workers: Sequence[Worker]) -> None:
    """Keep the processes that wait for a question, and end the others."""
    for worker in workers:
        if worker.can_be_used:
            _IDLE.append(worker)
        else:
            worker.kill_if_busy()
            worker.end()


@atexit.register
def _end_idle() -> None:
    while _IDLE:
        _IDLE.pop().end()


def _write(message: Any, file: IO[bytes]) -> None:
    pickle.dump(message, file, protocol=pickle.HIGHEST_PROTOCOL)
    file.flush()


def main() -> None:
    """Answer questions until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What the game reads and prints, also from C, must not be questions and answers.
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    copies = Copies([])
    with suppress(EOFError, BrokenPipeError):
        while True:
            kind, *arguments = pickle.load(questions)
            answer: Any = None
            try:
                if kind == "make":
                    recipe, number = arguments
                    copies = Copies([Adapter(recipe) for _ in range(number)])
                else:
                    answer = getattr(copies, kind)(*arguments)
            except BaseException as error:  # also a KeyboardInterrupt, which is the game's here
                answer = _failure(error)
            _write(answer, answers)


def _end_with(parent: int) -> None:
    """End this process soon after its parent, also while a game hangs and reads no questions."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _failure(error: BaseException) -> CopyError:
    """Return the error that is being handled as one that can be told to the parent."""
    reason = str(error) if isinstance(error, ValueError) else with_type(error)
    failure = error if isinstance(error, CopyError) else CopyError(0, reason)
    failure.add_note(traceback.format_exc())
    return failure


if __name__ == "__main__":
    main()
