"""Executor that runs calls in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from ..failures import attempt, out_of_memory
from .process_state import inline_state, restore_parts
from .retried_call import both_calls, told

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """An executor whose `submit` runs the call and returns a finished future. A crash or hang is this process's own.

    After a call the working directory and torch's defaults, gradient mode, threads and flags are what they were.
    Nothing else that a call changes is undone. A `RetriedCall` in which memory runs out is made once more, in its
    smaller way.
    """

    workers = 1
    deadline_s: float | None = None

    def __init__(self) -> None:
        self._open = True

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Runs the call.

        Raises:
            RuntimeError: The executor was shut down.
        """
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        first, smaller = both_calls(fn)
        state = inline_state()
        outcome = attempt(first, *args, **kwargs)
        if outcome.error is not None and smaller is not None and out_of_memory(outcome.error):
            outcome = attempt(smaller, *args, **kwargs)
        restore_parts(state)
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(told(outcome.error))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls; none is ever running."""
        self._open = False

    def kill(self) -> None:
        """Does what `shutdown` does, since no call is ever running."""
        self.shutdown()
