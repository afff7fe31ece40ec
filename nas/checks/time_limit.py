"""Time limit for a user's code that runs in this process, by a signal.

The deadline of a worker process does not replace it. A check calls `decide` and `build` of a user's space some
thousand times, each with a limit of its own, and uses the specs and networks that they return, which cannot always be
pickled. A killed worker also cannot tell the line and the choice at which the code hung, which is what the message is
for. A limit here takes 8 µs a call, a call in a worker 220 µs besides pickling, and a fresh worker 0.1 to 0.3 s without
torch (measured on two cores). Checks that run in workers have both: the limit names the line, and the deadline ends
code that no signal interrupts.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

AGAIN_S = 0.01
"""Seconds until the signal is sent again where it came at a moment at which it cannot interrupt."""
IMPORT = "<frozen importlib._bootstrap>"
"""File name of Python's import system in code objects."""
WEAK = (weakref.__file__, weakref.WeakSet.__init__.__code__.co_filename, str(Path("torch", "utils", "weak.py")))
"""Ends of the paths of modules that have callbacks of weak references."""


class TimeUp(BaseException):
    """The time is up. Not an Exception, so that the stopped code does not handle it as an error of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limits the time of a block. Does nothing outside the main thread, since signals arrive only there.

    An import is not interrupted, since a half imported package cannot be imported again: where one is running when the
    time is up, the block gets the same time again.

    Args:
        seconds: The limit, above 0.

    Raises:
        TimeUp: The block takes longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    imported = False

    def stop(_signal: int, frame: FrameType | None) -> None:
        nonlocal imported
        running = _codes(frame, outside)
        imports = any(code.co_filename == IMPORT for code in running)
        # What is raised in a callback of the garbage collector or of a weak reference is lost, with a warning.
        callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
        collects = any(code in callbacks or code.co_filename.endswith(WEAK) for code in running)
        if imports and not imported:
            imported = True
        elif imports or collects:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, seconds)
        else:
            raise TimeUp

    outside = sys._getframe(2)  # The frame of the block, beyond that of contextlib.
    before = signal.signal(signal.SIGALRM, stop)
    # The signal is repeated, since what is raised in a destructor is lost too, which cannot be seen from here.
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _codes(frame: FrameType | None, outside: FrameType) -> set[CodeType]:
    """The code objects of a frame and of all its callers within the block in `outside`."""
    codes = set()
    while frame is not None and frame is not outside:
        codes.add(frame.f_code)
        frame = frame.f_back
    return codes
