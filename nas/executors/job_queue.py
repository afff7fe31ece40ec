"""Queue of calls that several slots take from, and that a lost slot gives its call back to."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

J = TypeVar("J")


class JobQueue(Generic[J]):
    """First-in, first-out queue that is finished when it is closed and the last job that was taken is done."""

    def __init__(self) -> None:
        self._waiting: deque[J] = deque()
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, job: J) -> None:
        """Adds a job at the end."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    def has_job(self, timeout_s: float | None = None) -> bool:
        """Waits until a job waits, the queue is finished, or the time is over; True in the first case."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_finished(), timeout_s)
            return bool(self._waiting)

    def take(self) -> J | None:
        """The first job, which the taker must say to be `done` or `give_back`; None where none waits."""
        with self._changed:
            if not self._waiting:
                return None
            self._taken += 1
            return self._waiting.popleft()

    def done(self) -> None:
        """Says that a job that was taken has its result."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def give_back(self, job: J) -> None:
        """Puts a job that was taken at the front again."""
        with self._changed:
            self._taken -= 1
            self._waiting.appendleft(job)
            self._changed.notify_all()

    def close(self) -> None:
        """Says that no more jobs are put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> list[J]:
        """Removes the waiting jobs, and returns them."""
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return waiting

    def wait_until_finished(self) -> None:
        """Waits until the queue is finished."""
        with self._changed:
            self._changed.wait_for(self._is_finished)

    @property
    def finished(self) -> bool:
        """Whether no job waits, none is taken, and no more will come."""
        with self._changed:
            return self._is_finished()

    def _is_finished(self) -> bool:
        return self._closed and not self._waiting and not self._taken
