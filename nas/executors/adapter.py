"""A `concurrent.futures.Executor` of a person's own as the executor of a run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from ..errors import ConfigError
from .polled_jobs import PolledJobs


class ExecutorAdapter:
    """Executor of a run over any `concurrent.futures.Executor`, such as Dask's or a pool of processes, and over what is
    like one, such as submitit's, whose `submit` returns jobs that can only be asked whether they are done.

    The executor stays its owner's: `shutdown` leaves it open. It has no deadline. Where calls run on other machines,
    these must see the folder of runs and the data under the same paths.

    Args:
        executor: The executor.
        workers: Calls at a time, at least 1.

    Raises:
        ConfigError: It is no executor.
    """

    deadline_s: float | None = None

    def __init__(self, executor: Executor, workers: int) -> None:
        if not callable(getattr(executor, "submit", None)):
            raise ConfigError(
                f"executor is {type(executor).__name__}; give a concurrent.futures.Executor, or what has its `submit`"
            )
        self.workers = workers
        self._executor = executor
        self._open = True
        self._polled = PolledJobs()
        self._waiting: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queues a call. Raises RuntimeError after `shutdown`, and what the executor raises."""
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        submitted: Any = self._executor.submit(fn, *args, **kwargs)
        future: Future[Any] = submitted if isinstance(submitted, Future) else self._polled.future(submitted)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def kill(self) -> None:
        """Cancels what can be cancelled: jobs of submitit, and calls that wait. Other running calls go on."""
        self.shutdown(cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls; the executor itself stays open."""
        self._open = False
        if cancel_futures:
            for future in list(self._waiting):
                future.cancel()
            self._polled.cancel()
