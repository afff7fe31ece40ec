"""Runs candidates in this very process, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from ..failures import attempt

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """`submit` runs the call and returns its finished future. Nothing shields the process from a crash or a hang."""

    workers = 1

    def __init__(self) -> None:
        self._open = True

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises RuntimeError after `shutdown`, as every executor does."""
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        outcome = attempt(fn, *args, **kwargs)
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; there is never one running."""
        self._open = False

    def kill(self) -> None:
        """As `shutdown`: a call is over when its `submit` is."""
        self.shutdown()
