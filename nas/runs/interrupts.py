"""Handlers of Ctrl-C and SIGTERM: the first asks a search to stop, a second ends the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ..errors import INTERRUPTED

KILL_S = 1.0
"""Seconds after which a second signal ends the process even where `kill` has not returned."""


@contextmanager
def stop_on_signal(*, on_first: Callable[[], None], kill: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Handles SIGINT and SIGTERM within a `with` block.

    Handlers can be set in the main thread only: in any other thread, as of a web application, none are set, and the
    function always returns False.

    Args:
        on_first: Called at the first signal.
        kill: Called at the second signal, before the process ends with status 130; what is stored stays stored.

    Yields:
        A function that says whether a signal has come. The earlier handlers are set again at the end.
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
                on_first()
            return
        # The alarm ends the process even where `kill` waits for a lock that this thread held when the signal came.
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
