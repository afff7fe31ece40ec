"""Main loop of a worker process."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.spawn
import os
import pickle
import select
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ..errors import WorkerError
from ..failures import Raised, Returned, attempt, reason

READY = b"ready"
"""Answer of a worker that has imported the master's main module and can take calls."""
LOADED = b"loaded"
"""First answer to a call: function and arguments are unpickled, and their modules imported."""


def serve(descriptor: int) -> None:
    """Answers calls until the socket is closed, and ends with the master.

    The first message says how to import the master's main module and is answered with READY. Each further message is a
    call of two pickles: the function (None for the object of the last call, with all that it caches) and (args,
    kwargs). It is answered twice: with LOADED, and with the pickle of (result, error, traceback text).

    Args:
        descriptor: File descriptor of the socket to the master.
    """
    # A signal for all processes of a job is for the master, with whom this process ends; else its candidate would fail.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_master, args=(descriptor,), daemon=True).start()
    connection: Connection[Any, Any] = Connection(descriptor)
    _import_main(connection.recv())
    connection.send_bytes(READY)
    fn: Any = None
    while True:
        try:
            fn_pickle, call_pickle = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        loaded = Returned(fn) if fn_pickle is None else attempt(pickle.loads, fn_pickle)
        fn = loaded.value
        arguments = attempt(pickle.loads, call_pickle) if loaded.error is None else loaded
        connection.send_bytes(LOADED)
        connection.send_bytes(_answer(attempt(_call, fn, arguments.value) if arguments.error is None else arguments))
        del arguments


def _end_with_master(descriptor: int) -> None:
    """Ends this process and its children when the master's end of the socket closes, even during a call."""
    poll = select.poll()
    poll.register(descriptor, 0)  # no events, so that only a hang-up is reported
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def _import_main(main: dict[str, Any]) -> None:
    """Imports the master's main module as `__mp_main__`, so that what is defined there can be unpickled.

    `_inheriting`, as multiprocessing sets it, makes a script without the `if __name__ == "__main__":` guard fail
    instead of starting workers of its own.
    """
    process: Any = multiprocessing.process.current_process()
    process._inheriting = True
    try:
        multiprocessing.spawn.prepare(main)
    finally:
        del process._inheriting


def _call(fn: Any, arguments: tuple[Any, Any]) -> Any:
    args, kwargs = arguments
    return fn(*args, **kwargs)


def _answer(outcome: Returned[Any] | Raised) -> bytes:
    """The pickled (result, error, traceback text) of a call.

    An error that cannot be pickled and read back, or that is meant to end a process, is replaced by a WorkerError with
    its reason.
    """
    if outcome.error is None:
        pickled = attempt(pickle.dumps, (outcome.value, None, ""))
        if pickled.error is None:
            return pickled.value
        outcome = pickled
    text = "".join(traceback.format_exception(outcome.error))
    data = attempt(pickle.dumps, (None, outcome.error, text)).value
    # Some errors can be pickled but not read back.
    readable = data is not None and attempt(pickle.loads, data).error is None
    if data is not None and readable and isinstance(outcome.error, Exception):
        return data
    return pickle.dumps((None, WorkerError(reason(outcome.error)), text))
