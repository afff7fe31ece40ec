"""Main loop of a worker process."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.spawn
import pickle
import signal
import sys
import traceback
from typing import Any

from ..errors import WorkerError
from ..failures import Raised, Returned, attempt, reason
from .channel import Channel
from .limits import limit_gpu_memory
from .process_state import ProcessState, set_generators

READY = b"ready"
"""Answer of a worker that has imported the master's main module and can take calls."""
LOADED = b"loaded"
"""First answer to a call: function and arguments are unpickled, and their modules imported."""

NO_CONNECTION = 75
"""Exit code of a worker that cannot send its answer: what ran in it has closed the connection, or the master ended."""


def serve(channel: Channel) -> None:
    """Answers calls until the channel is closed.

    The first message says how to import the master's main module and how much GPU memory may be taken; it is answered
    with READY. Each further message is a call of two pickles: the function (None for the object of the last call, with
    all that it caches) and (args, kwargs). It is answered twice: with LOADED, and with a pickle of three: the pickled
    (result, error, traceback text); what the call has changed in the process that could not be undone; the modules of
    this project that are imported.
    """
    # A signal for all processes of a job is for the master, with whom this process ends; else its candidate would fail.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    main, gpu_gb = pickle.loads(channel.receive())
    _import_main(main)
    channel.send(READY)
    fn: Any = None
    known = b""
    while True:
        try:
            fn_pickle, call_pickle = pickle.loads(channel.receive())
        except (EOFError, ConnectionResetError):
            return
        loaded = Returned(fn) if fn_pickle is None else attempt(pickle.loads, fn_pickle)
        fn = loaded.value
        arguments = attempt(pickle.loads, call_pickle) if loaded.error is None else loaded
        if fn_pickle is not None:
            limit_gpu_memory(gpu_gb)
        channel.send(LOADED)
        if arguments.error is None:
            set_generators()
            state = ProcessState.now(first_call=fn_pickle not in (None, known))
            outcome = attempt(_call, fn, arguments.value)
            answer = _answer(outcome)
            del outcome  # It may hold open files.
            changes = state.restored()
            known = fn_pickle or known
        else:
            answer, changes = _answer(arguments), ()
        modules = frozenset(name for name in sys.modules if name.startswith("nas.")) if fn_pickle is not None else ()
        try:
            channel.send(pickle.dumps((answer, changes, frozenset(modules))))
        except OSError:
            raise SystemExit(NO_CONNECTION) from None
        del arguments


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
