"""Time limit for code of a user that runs in this process."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

AGAIN_S = 0.01
IMPORT = "<frozen importlib._bootstrap>"
WEAK = (weakref.__file__, weakref.WeakSet.__init__.__code__.co_filename)


class TimeUp(BaseException):
    """Not an Exception: what is stopped shall not take it for an error of its own and go on."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeUp where the block takes longer. Does nothing outside the main thread, where no signal arrives.

    An import is let through to its end, as a package that is half imported cannot be imported again; where one is under
    way when the time is up, the block has as long again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    imported = False

    def stop(_signal: int, frame: FrameType | None) -> None:
        nonlocal imported
        running = _codes(frame, outside)
        imports = any(code.co_filename == IMPORT for code in running)
        # In a callback of the garbage collector or of a weak reference what is raised is lost, with a warning.
        callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
        collects = any(code in callbacks or code.co_filename in WEAK for code in running)
        if imports and not imported:
            imported = True
        elif imports or collects:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, seconds)
        else:
            raise TimeUp

    outside = sys._getframe(2)  # past that of contextlib: where the block stands
    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: what is raised in a destructor is lost too, and cannot be told from outside.
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _codes(frame: FrameType | None, outside: FrameType) -> set[CodeType]:
    """Of the functions that run: that of the frame, and all that called it within the block in `outside`."""
    codes = set()
    while frame is not None and frame is not outside:
        codes.add(frame.f_code)
        frame = frame.f_back
    return codes
