"""Executor with long-lived worker processes, which it replaces when they crash or hang."""

from __future__ import annotations

import logging
import pickle
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigError, WorkerError
from ..failures import Raised, Returned, attempt, out_of_memory, reason
from .capped_output import OutputFuture
from .limits import NO_LIMITS, MemoryLimits
from .retried_call import both_calls, told
from .worker_process import WorkerProcess, main_module

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
AGAIN = b"\n[... the call was made once more, with less memory ...]\n"
"""What stands between the outputs of two calls of one future."""


@dataclass(frozen=True)
class _Job:
    future: OutputFuture[Any]
    fn: bytes
    smaller: bytes | None
    call: bytes
    deadline_s: float | None


class ProcessExecutor(Executor):
    """An executor of worker processes, each with one thread for arithmetic, a process group and an environment.

    A future has the exception that its call raised, a WorkerError when its worker died or passed the deadline (the next
    call gets a new worker), OutOfMemory, or a CancelledError after `kill`. A function that is called again is not sent
    again: the worker keeps the object, with all that it caches. Futures are OutputFutures, with what their calls print.

    A `RetriedCall` in which memory runs out, or whose worker is killed by another than this executor, is made once more
    in its smaller way, in a new process. What a call changes in its process is undone before the next one, or the
    process is replaced.

    As a context manager it waits for its calls, or kills them when an error leaves the block. However this process
    ends, its workers end too.

    Args:
        workers: Number of processes, at least 1.
        environments: One mapping a worker, added to this process's environment, such as CUDA_VISIBLE_DEVICES.
        deadline_s: Longest time for one call in seconds, by the monotonic clock; None for no limit. The start of a
            worker and its imports do not count. The attribute of this name may be changed, for later calls.
        limits: Limits on the memory of each worker.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        workers: int,
        *,
        environments: Sequence[Mapping[str, str]] = (),
        deadline_s: float | None = None,
        limits: MemoryLimits = NO_LIMITS,
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers is {workers}; it must be at least 1")
        if environments and len(environments) != workers:
            raise ConfigError(f"{len(environments)} environments for {workers} workers; give one each, or none")
        if deadline_s is not None and not deadline_s > 0:
            raise ConfigError(f"deadline_s is {deadline_s}; it must be above 0, or None")
        self.workers = workers
        self._slots = [WorkerProcess(environment, limits) for environment in environments or [{}] * workers]
        self.deadline_s = deadline_s
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
        """Queues a call for the next free worker.

        Raises:
            ConfigError: The call cannot be pickled.
            RuntimeError: The executor was shut down or killed.
        """
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        first, smaller = both_calls(fn)
        small = None if smaller is None else _pickled(smaller)
        job = _Job(OutputFuture(), _pickled(first), small, _pickled((args, kwargs)), self.deadline_s)
        if not self._threads:
            main = main_module()
            # Daemon threads, so that an executor that is never shut down does not keep this process from ending.
            self._threads = [
                threading.Thread(target=self._serve, args=(worker, main), daemon=True) for worker in self._slots
            ]
            for thread in self._threads:
                thread.start()
        self._jobs.put(job)
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. Workers end after the submitted calls, or with `cancel_futures` the running ones."""
        self._open = False
        if cancel_futures:
            self._cancel_waiting()
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """Ends all workers and their children at once and cancels every unfinished future, without waiting.

        It may be called from any thread and from signal handlers.
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
        worker.close()

    def _run(self, job: _Job, worker: WorkerProcess, main: Mapping[str, Any]) -> None:
        outcome = _called(worker, job.fn, job, main)
        output, error = worker.output, outcome.error
        if error is not None and job.smaller is not None and not self._killed and _lacks_memory(worker, error):
            log.warning("memory ran out in a call, which is made once more with less: %s", reason(error))
            worker.end()
            outcome = _called(worker, job.smaller, job, main)
            output += AGAIN + worker.output
        job.future.output = output
        if self._killed and isinstance(outcome.error, WorkerError):
            job.future.set_exception(CancelledError("the executor was killed"))
        elif outcome.error is not None:
            job.future.set_exception(told(outcome.error))
        else:
            job.future.set_result(outcome.value)

    def _cancel_waiting(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.future.cancel()
                job.future.set_running_or_notify_cancel()  # wakes up those who wait for it


def _called(worker: WorkerProcess, fn: bytes, job: _Job, main: Mapping[str, Any]) -> Returned[Any] | Raised:
    """The result of a call, or what it raised; a WorkerError where there is neither."""
    outcome = attempt(worker.call, fn, job.call, main, job.deadline_s)
    return outcome if outcome.error is not None else outcome.value


def _lacks_memory(worker: WorkerProcess, error: BaseException) -> bool:
    """Whether memory ran out in the last call, as its error says, or the system killed its process."""
    return worker.was_killed or out_of_memory(error)


def _pickled(value: Any) -> bytes:
    pickled = attempt(pickle.dumps, value)
    if pickled.error is not None:
        raise ConfigError(
            f"{value!r} cannot be sent to a worker process ({reason(pickled.error)}); define it at the top of a "
            "module, or search with one inline worker"
        ) from pickled.error
    return pickled.value
