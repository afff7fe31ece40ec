"""Handlers of Ctrl-C, SIGTERM and SIGHUP: the first asks a search to stop, a second ends the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from ..errors import INTERRUPTED

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask for an end."""
STDERR: Final = 2
"""Descriptor of standard error."""
SHOW_CURSOR: Final = b"\x1b[?25h"
"""What shows the cursor of a terminal."""
KILL_S = 1.0
"""Seconds after which a second signal ends the process even where `kill` has not returned."""


@contextmanager
def stop_on_signal(*, on_first: Callable[[], None], kill: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Handles SIGINT, SIGTERM and SIGHUP within a `with` block.

    SIGHUP, which a terminal that is closed sends, sometimes twice, only asks: it is never the second signal. It stays
    ignored where it is, as under `nohup`.

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

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        if number == signal.SIGHUP and count > 0:
            return
        count += 1
        if count == 1:
            with suppress(RuntimeError):  # a print is refused in the middle of another
                on_first()
            return
        # The alarm ends the process even where `kill` waits for a lock that this thread held when the signal came.
        signal.signal(signal.SIGALRM, lambda *_: _end())
        signal.setitimer(signal.ITIMER_REAL, KILL_S)
        kill()
        _end()

    numbers = [number for number in STOPPING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end() -> None:
    """Ends this process as it stands. A terminal gets back its cursor, which the panel of a run hides."""
    with suppress(OSError):
        if os.isatty(STDERR):
            os.write(STDERR, SHOW_CURSOR)
    os._exit(INTERRUPTED)
