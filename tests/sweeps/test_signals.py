"""Being asked to stop: at once where nothing is lost, else after the segment."""

import os
import signal
import threading
import time

import pytest

from jaxmarl_core.sweeps.signals import Stopped, StopSignals


def later(number, seconds=0.05):
    """Sends this process a signal while it waits."""
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


def test_a_wish_is_heard_while_a_program_runs():
    said = []
    with StopSignals(lambda text: said.append((time.monotonic(), text))) as stop:
        later(signal.SIGINT)
        began = time.monotonic()
        assert stop.waiting(lambda: time.sleep(0.5) or 3) == 3
    ((heard, text),) = said
    assert heard - began < 0.4
    assert "Ctrl-C" in text and "after this segment" in text and "again stops now" in text
    with pytest.raises(Stopped, match="stopped after update 4"):
        stop.check("after update 4")


def test_a_second_ctrl_c_does_not_wait():
    with StopSignals(lambda text: None) as stop:
        later(signal.SIGTERM, 0.02)
        later(signal.SIGINT, 0.1)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            stop.waiting(time.sleep, 5)
        assert time.monotonic() - began < 3


def test_while_compiling_the_first_wish_is_granted_at_once():
    with StopSignals(lambda text: None) as stop:
        later(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(Stopped, match="stopped by SIGTERM") as stopped:
            stop.compiling(time.sleep, 5)
        assert time.monotonic() - began < 3
        assert stopped.value.signal == signal.SIGTERM
        with pytest.raises(Stopped, match="before compiling"):
            stop.compiling(time.sleep, 5)


def test_what_goes_wrong_in_the_other_thread_is_raised_in_this_one():
    with StopSignals(lambda text: None) as stop, pytest.raises(ZeroDivisionError):
        stop.waiting(lambda: 1 / 0)


def test_handlers_are_given_back():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals(lambda text: None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_is_heard():
    found = []

    def work():
        with StopSignals(lambda text: None) as stop:
            found.append(stop.waiting(lambda: 3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [3]
