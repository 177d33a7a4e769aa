"""Ctrl-C and SIGTERM as a polite request: finish the tick, save, stop."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While entered, a signal sets `requested`; the same signal again raises KeyboardInterrupt.

    A job of a sweep gets both at one Ctrl-C: one of the terminal, one of the process that began it.
    """

    def __init__(self) -> None:
        self.requested = False
        self._seen: set[int] = set()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        # Python delivers signals to the main thread only; workers of a sweep may run in others.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in self._seen:
            raise KeyboardInterrupt
        self._seen.add(number)
        self.requested = True
