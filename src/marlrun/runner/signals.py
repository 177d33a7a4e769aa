"""Ctrl-C and SIGTERM as a polite request: finish the tick, save, stop."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handling(handle: Callable[[int, FrameType | None], object]) -> Generator[None]:
    """Meanwhile, let `handle` answer Ctrl-C and SIGTERM; in the main thread, which hears them."""
    is_main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, handle) for number in _SIGNALS if is_main}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Stop:
    """While entered, a signal sets `requested`; the same signal again raises KeyboardInterrupt.

    A job of a sweep gets both at one Ctrl-C: one of the terminal, one of the process that began it.
    """

    def __init__(self) -> None:
        self.requested = False
        self._seen: set[int] = set()
        self._handling: AbstractContextManager[None] = handling(self._handle)

    def __enter__(self) -> "Stop":
        self._handling.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handling.__exit__(kind, error, trace)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in self._seen:
            raise KeyboardInterrupt
        self._seen.add(number)
        self.requested = True
