"""Ctrl-C, SIGTERM and a closed terminal ask a run to finish its step, to save and to stop."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

Handler = Callable[[int, FrameType | None], object]

_HANGUP: int | None = getattr(signal, "SIGHUP", None)
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([] if _HANGUP is None else [_HANGUP])]


def answer(handle: Handler) -> dict[int, Any]:
    """Let `handle` answer Ctrl-C, SIGTERM and SIGHUP; return what answered each of them before.

    Only the main thread receives signals: in another one, nothing changes. A SIGHUP that is
    ignored, as after `nohup`, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handle) for number in _SIGNALS if not _is_nohup(number)}


def _is_nohup(number: int) -> bool:
    return number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def handling(handle: Handler) -> Generator[None]:
    """Let `handle` answer the signals within the context, and the earlier handlers afterwards."""
    previous = answer(handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Interrupt:
    """A handler that raises KeyboardInterrupt; during an import, or at a second signal, it exits.

    An exception during an import may be swallowed, or crash the library that is imported.
    """

    def __init__(self, program: str):
        self._program = program

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        """Raise KeyboardInterrupt, or end the process during an import."""
        if _is_importing(frame):
            self.exit_now(number, frame)
        answer(self.exit_now)
        raise KeyboardInterrupt

    def exit_now(self, number: int, frame: FrameType | None) -> NoReturn:
        """End the process at once."""
        os._exit(self.announce())

    def announce(self) -> int:
        """Write at once that the program was interrupted, and return the exit code."""
        with suppress(OSError):
            os.write(2, f"{self._program}: interrupted\n".encode())
        return 130


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class Stop:
    """In this context a signal sets `requested`; the same signal again raises KeyboardInterrupt.

    The third ends the process at once. At one Ctrl-C a job of a sweep gets two kinds of signals:
    one from the terminal, one from the process that began it. A closed terminal may send several
    SIGHUP, which never raise. `requesting` is called at the first signal. A stop within another
    stop takes over what was requested there, and passes on what is requested within.
    """

    def __init__(self, requesting: Callable[[], object] = lambda: None) -> None:
        self.requested = False
        self._requesting = requesting
        self._insisted = False
        self._counts: Counter[int] = Counter()
        self._handling: AbstractContextManager[None] = handling(self._handle)
        self._outer: Stop | None = None

    def __enter__(self) -> "Stop":
        outer = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        self._outer = outer if isinstance(outer, Stop) else None
        self._handling.__enter__()
        # The outer stop has noted the signals that came before this line.
        if self._outer is not None and self._outer.requested:
            self.requested = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handling.__exit__(kind, error, trace)
        if self.requested and self._outer is not None:
            self._outer.request()

    def request(self) -> None:
        """Ask to stop, as the first signal does."""
        if not self.requested:
            self.requested = True
            self._requesting()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._counts[number] += 1
        if not self.requested:
            self.request()
        elif number != _HANGUP and self._counts[number] > 2:
            Interrupt("marlrun").exit_now(number, frame)
        elif number != _HANGUP and self._counts[number] == 2 and not self._insisted:
            self._insisted = True
            raise KeyboardInterrupt
