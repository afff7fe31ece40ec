"""Ctrl-C and SIGTERM: the first asks a search to end well, a second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ..errors import INTERRUPTED

KILL_S = 1.0


@contextmanager
def stop_on_signal(*, asked: Callable[[], None], kill: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGINT or SIGTERM has come.

    `asked` is called at the first signal. At the second, `kill` is called and the process ends with status 130: what
    is stored stays stored. The handlers before are put back at the end. Python lets only the main thread set handlers:
    in any other thread, as of a web application, none are set, and the function always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    count = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            with suppress(RuntimeError):  # a print is refused in the middle of another
                asked()
            return
        # Even where `kill` waits for a lock that this very thread had when the signal came.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(INTERRUPTED))
        signal.setitimer(signal.ITIMER_REAL, KILL_S)
        kill()
        os._exit(INTERRUPTED)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
