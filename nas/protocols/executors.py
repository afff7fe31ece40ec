"""Protocol of executors, in which candidates are evaluated."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol, runtime_checkable


class Submits(Protocol):
    """Place where calls are made, such as a `concurrent.futures.Executor`."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queues a call. Raises ConfigError where it cannot be sent to where it would be made."""
        ...


@runtime_checkable
class CandidateExecutor(Submits, Protocol):
    """Executor of a run: a `concurrent.futures.Executor` that says how many calls it runs at a time, and can be killed.

    A slot is the place of one running call: a worker process, an actor on another machine, this process. Functions and
    arguments are pickled where a slot is another process. A keyword argument that is a `pathlib.Path` names a file that
    the call may read and write: an executor whose slots do not see this machine's files carries its bytes there and
    back.

    A future has the exception that its call raised, a WorkerError where its slot was lost or passed the deadline, or a
    CancelledError after `kill`. A call that is made again after its slot was lost gives one result.

    Attributes:
        workers: Number of slots, at least 1; it may change where slots come and go.
        deadline_s: Longest time of one call in seconds; None for no limit. It may be set, for later calls; an executor
            that cannot end a call ignores it.
    """

    workers: int
    deadline_s: float | None

    def kill(self) -> None:
        """Ends all running calls and cancels those that wait, without waiting itself; also from signal handlers."""
        ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls, and frees what the slots hold after the last."""
        ...


AnyExecutor = Executor | CandidateExecutor
"""What a person may give as the executor of a run."""
