"""Runs candidates in worker processes that last from one to the next, and outlives whatever happens to them."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigError
from ..failures import attempt, reason
from .worker_process import WorkerProcess, main_module

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Job:
    future: Future[Any]
    fn: bytes
    call: bytes


class ProcessExecutor(Executor):
    """`workers` processes, each with one thread for arithmetic, its own process group and its own environment.

    environments  one mapping a worker, added to this process's environment (CUDA_VISIBLE_DEVICES, say); none: empty
    deadline_s    the longest that one call may take, by the monotonic clock; None: for ever

    A future has the exception that its call raised; a WorkerError when its worker died or its deadline passed (the next
    call gets a new worker); a CancelledError when `kill` stopped it. A function that was just called is not sent again:
    the worker keeps the object, with all that it caches. What workers print is dropped, its end logged at debug.

    Used in a `with`, it waits for its calls, or kills them when an error leaves the block. However this process ends,
    its workers end too.
    """

    def __init__(
        self, workers: int, *, environments: Sequence[Mapping[str, str]] = (), deadline_s: float | None = None
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers is {workers}; it must be at least 1")
        if environments and len(environments) != workers:
            raise ConfigError(f"{len(environments)} environments for {workers} workers; give one each, or none")
        if deadline_s is not None and not deadline_s > 0:
            raise ConfigError(f"deadline_s is {deadline_s}; it must be above 0, or None")
        self.workers = workers
        self._slots = [WorkerProcess(environment) for environment in environments or [{}] * workers]
        self._deadline_s = deadline_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = True
        self._killed = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        self.shutdown()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises ConfigError where the call cannot be pickled, RuntimeError after `shutdown` or `kill`."""
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        job = _Job(Future(), _pickled(fn), _pickled((args, kwargs)))
        if not self._threads:
            main = main_module()
            # Daemons: an executor that is never shut down must not keep this process from ending.
            self._threads = [
                threading.Thread(target=self._serve, args=(worker, main), daemon=True) for worker in self._slots
            ]
            for thread in self._threads:
                thread.start()
        self._jobs.put(job)
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; the workers end after those submitted, or with `cancel_futures` after those running."""
        self._open = False
        if cancel_futures:
            self._cancel_waiting()
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """Ends all workers and what they started, now; every unfinished future is cancelled. Does not wait.

        For any thread, and for signal handlers.
        """
        self._killed = True
        for worker in self._slots:
            worker.kill()
        self.shutdown(wait=False, cancel_futures=True)

    def _serve(self, worker: WorkerProcess, main: Mapping[str, Any]) -> None:
        """Runs jobs in one worker until it gets None."""
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._run(job, worker, main)
            del job  # An idle thread must not keep a result alive.
        worker.end()

    def _run(self, job: _Job, worker: WorkerProcess, main: Mapping[str, Any]) -> None:
        outcome = attempt(worker.call, job.fn, job.call, main, self._deadline_s)
        if outcome.error is not None:
            job.future.set_exception(CancelledError("the executor was killed") if self._killed else outcome.error)
        elif outcome.value.error is not None:
            job.future.set_exception(outcome.value.error)
        else:
            job.future.set_result(outcome.value.value)

    def _cancel_waiting(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.future.cancel()
                job.future.set_running_or_notify_cancel()  # tells those who wait for it


def _pickled(value: Any) -> bytes:
    pickled = attempt(pickle.dumps, value)
    if pickled.error is not None:
        raise ConfigError(
            f"{value!r} cannot be sent to a worker process ({reason(pickled.error)}); define it at the top of a "
            "module, or search with one inline worker"
        ) from pickled.error
    return pickled.value
