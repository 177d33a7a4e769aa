import os
import signal
import threading

import pytest

from marlrun.system.signals import Interrupt, Stop, handling

pytestmark = pytest.mark.usefixtures("hangup")


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


def test_a_closed_terminal_asks_but_never_insists():
    """The kernel and the shell each say that it is closed."""
    asked = []
    with Stop(lambda: asked.append("once")) as stop:
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested and asked == ["once"]
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == ["once"]


def test_a_request_holds_for_what_begins_later():
    with Stop():
        with Stop() as first:
            assert not first.requested
        os.kill(os.getpid(), signal.SIGINT)
        with Stop() as second:
            assert second.requested
    with Stop() as third:
        assert not third.requested


def test_what_is_requested_within_is_requested_around():
    """A job that ends just then is finished, but no other is to begin."""
    asked = []
    with Stop(lambda: asked.append("once")) as outer:
        with Stop() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.requested and not outer.requested
        assert outer.requested and asked == ["once"]


def test_a_signal_between_two_lines_of_entering_is_heard(monkeypatch):
    outer, inner = Stop(), Stop()
    enter = inner._handling.__enter__
    monkeypatch.setattr(
        inner._handling, "__enter__", lambda: (os.kill(os.getpid(), signal.SIGINT), enter())
    )
    with outer, inner:
        assert outer.requested and inner.requested


def test_what_insists_does_so_once():
    """What is written down then is not cut short by the other signal that comes twice."""
    with Stop():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_is_an_exception_once():
    interrupt = Interrupt("marlrun")
    with handling(interrupt):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == interrupt.exit_now
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_threads_leave_signals_alone():
    def enter():
        with Stop() as stop:
            seen.append(stop.requested)

    seen = []
    worker = threading.Thread(target=enter)
    worker.start()
    worker.join()
    assert seen == [False]
