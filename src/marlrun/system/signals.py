"""Ctrl-C, SIGTERM and a closed terminal as a polite request: finish the tick, save, stop."""

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
    """Within the context `handle` answers the signals; afterwards the earlier handlers do."""
    previous = answer(handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Interrupt:
    """A handler that raises KeyboardInterrupt; amid an import, and at the next signal, it leaves.

    An exception amid an import may be swallowed, or crash the library that is imported.
    """

    def __init__(self, program: str):
        self._program = program

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        """Raise KeyboardInterrupt, or leave."""
        if _is_importing(frame):
            self.exit_now(number, frame)
        answer(self.exit_now)
        raise KeyboardInterrupt

    def exit_now(self, number: int, frame: FrameType | None) -> NoReturn:
        """End the process at once."""
        os._exit(self.announce())

    def announce(self) -> int:
        """Write the line of an interruption past everything that is buffered; return its code."""
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
    """While entered, a signal sets `requested`; the same signal again raises KeyboardInterrupt.

    The third leaves at once. A job of a sweep gets two kinds at one Ctrl-C: one of the terminal,
    one of the process that began it. A closed terminal may send several SIGHUP by itself: they
    ask, but never insist. `requesting` is called at the first signal. What is entered within
    another stop begins with what was requested there, and hands on what was requested within.
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
        # Only now: what came before was heard by the outer one.
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
