import os
import signal
import threading

import pytest

from marlrun.runner.signals import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_second_insists(number):
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_threads_leave_signals_alone():
    def enter():
        with Stop() as stop:
            seen.append(stop.requested)

    seen = []
    worker = threading.Thread(target=enter)
    worker.start()
    worker.join()
    assert seen == [False]
