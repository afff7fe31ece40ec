"""Writes that are repeated while the disk is full."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..errors import WriteError

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
FIRST_S, LONGEST_S = 1.0, 60.0
"""Seconds before the first repetition, which double with each, and the most that they become."""
POLL_S = 0.2
"""Longest time between two calls of `stop`, in seconds."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Retries:
    """How long a write that fails for an error of the machine is repeated.

    Attributes:
        limit_s: Seconds after which the write fails; with 0 it is not repeated.
        stop: Polled while a repetition is waited for; once it returns True, the write is repeated once more at most.
        sleep: Waits for so many seconds.
        clock: Seconds from any fixed moment.
    """

    limit_s: float = 0.0
    stop: Callable[[], bool] = _never
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def call(self, write: Callable[[], T]) -> T:
        """Calls `write` until it succeeds. Raises its WriteError where it still fails at the end of the time."""
        end, wait_s = self.clock() + self.limit_s, FIRST_S
        while True:
            try:
                return write()
            except WriteError as error:
                wait_s = min(wait_s, end - self.clock())
                if wait_s <= 0 or self.stop():
                    raise
                log.warning("%s. The search waits, and tries again in %.3g s", error, wait_s)
                self._wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_S)

    def _wait(self, seconds: float) -> None:
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0 and not self.stop():
            self.sleep(min(left, POLL_S))


NO_RETRIES = Retries()


class _Retrying(Protocol):
    retries: Retries


S = TypeVar("S", bound=_Retrying)


def retried(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method that uses a store, repeated as the attribute `retries` of its object says."""

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.retries.call(lambda: method(self, *args, **kwargs))

    return call
