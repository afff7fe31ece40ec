"""The first Ctrl-C asks, the second ends the process at once, whatever it was doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from nas.runs.interrupts import stop_on_signal

SECOND = """
import os, signal, threading
from nas.runs.interrupts import stop_on_signal

lock = threading.Lock()

def kill():
    print("killed", flush=True)
    lock.acquire()

with stop_on_signal(on_first=lambda: print("asked", flush=True), kill=kill) as stopped:
    signal.raise_signal(signal.SIGINT)
    assert stopped()
    {held}
    signal.raise_signal(signal.SIGTERM)
    print("still here")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_asked_about_and_the_handlers_come_back(number):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    heard = []
    with stop_on_signal(on_first=lambda: heard.append("asked"), kill=lambda: heard.append("killed")) as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
    assert heard == ["asked"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), stop_on_signal(on_first=lambda: None, kill=lambda: None):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_no_handler_is_set_and_nothing_is_raised():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    answers = []

    def within() -> None:
        with stop_on_signal(on_first=lambda: None, kill=lambda: None) as stopped:
            answers.append(stopped())
            answers.append([signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before)

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert answers == [False, True]


@pytest.mark.parametrize("held", ["pass", "lock.acquire()"])
def test_the_second_signal_ends_the_process_even_where_killing_waits_for_a_lock(held):
    ended = subprocess.run([sys.executable, "-c", SECOND.format(held=held)], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (130, ["asked", "killed"], "")
