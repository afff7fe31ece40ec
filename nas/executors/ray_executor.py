"""Executor on a Ray cluster: one actor a slot, which hosts a worker process on its node."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigError, WorkerError
from ..failures import attempt
from ..provenance import versions
from .capped_output import OutputFuture
from .carried_files import Tree, pack
from .job_queue import JobQueue
from .ray_cluster import RaySlots, connect, first_line, nodes
from .ray_slot import RaySlot
from .remote_call import RemoteCall, receive, remote_call

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MOST_LOSSES = 5
"""Slots that a call may lose before it counts as failed: a candidate that takes its node down must not run for ever."""
MOST_FAILED_STARTS = 10
"""Starts of slots that may fail one after the other, while there is no slot at all, before waiting calls fail."""
IDLE_S = 60.0
"""Seconds without a waiting call after which a slot is given back, so that a cluster may end its node."""
POLL_S = 0.5
"""Longest time between two looks at whether a slot that is starting is still wanted, in seconds."""
SAME_VERSIONS = ("adaptnas", "torch")
"""Packages whose versions must be the same on all nodes, since scores depend on them."""


@dataclass
class _Job:
    """A call, with the number of slots that were lost with it."""

    future: OutputFuture[Any]
    call: RemoteCall
    kwargs: dict[str, Any]
    deadline_s: float | None
    losses: int = 0


class RayExecutor(Executor):
    """An executor of slots in a Ray cluster, which take calls from one queue.

    A call whose slot is lost, because its node or its actor ended, is made again in another slot; what the lost slot
    may still return is not read. Files that are keyword arguments travel as bytes with a digest, in both directions.

    Args:
        slots: Number and resources of the slots.
        address: The cluster, as `nas.executors.ray_cluster.connect` takes it.
        trees: Files that calls need on the nodes; each node gets them once.
        deadline_s: Longest time of one call in seconds; None for no limit. It is kept by the slot.

    Raises:
        ConfigError: Ray is not installed, the cluster does not answer, no slot could be had in `slots.wait_s` seconds,
            or a node has other versions of the packages.
    """

    def __init__(
        self,
        slots: RaySlots,
        *,
        address: str = "",
        trees: tuple[Tree, ...] = (),
        deadline_s: float | None = None,
    ) -> None:
        self._ray, self._own = connect(address)
        self.deadline_s = deadline_s
        self._request = slots.on(nodes(self._ray))
        self.workers = self._request.count
        self._roots = [tree.root for tree in trees]
        self._packed = self._ray.put(pack(trees) if trees else b"")
        self._class = self._ray.remote(RaySlot)
        self._jobs: JobQueue[_Job] = JobQueue()
        self._actors: dict[int, Any] = {}
        self._open, self._killed = True, False
        self._failed_starts = 0
        try:
            self._start_slot(0, time.monotonic() + slots.wait_s)
        except BaseException:
            self.kill()
            self._disconnect()
            raise
        self._threads = [threading.Thread(target=self._serve, args=(i,), daemon=True) for i in range(self.workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues a call for the next free slot.

        Raises:
            ConfigError: The call cannot be pickled.
            RuntimeError: The executor was shut down or killed.
        """
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        call = remote_call(fn, args, kwargs, self._roots, self._ray.cloudpickle.Pickler)
        future: OutputFuture[T] = OutputFuture()
        self._jobs.put(_Job(future, call, dict(kwargs), self.deadline_s))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. Slots end after the submitted calls, or with `cancel_futures` the running ones."""
        self._open = False
        if cancel_futures:
            for job in self._jobs.clear():
                job.future.cancel()
                job.future.set_running_or_notify_cancel()  # wakes up those who wait for it
        self._jobs.close()
        if wait:
            for thread in self._threads:
                thread.join()
            self._disconnect()

    def kill(self) -> None:
        """Ends all slots at once and cancels every unfinished future, without waiting."""
        self._killed = True
        for number in list(self._actors):
            self._end_slot(number)
        self.shutdown(wait=False, cancel_futures=True)

    def _disconnect(self) -> None:
        if self._own and self._ray.is_initialized():
            self._ray.shutdown()

    # --- one slot, in a thread of this process ------------------------------------------------------------------------

    def _serve(self, number: int) -> None:
        """Makes calls in one slot until the queue is finished. A slot is started where a call waits for one."""
        while not self._jobs.finished:
            if not self._jobs.has_job(IDLE_S):
                self._end_slot(number)
            elif number in self._actors or self._started(number):
                job = self._jobs.take()
                if job is not None:
                    self._run(number, job)
        self._end_slot(number)

    def _run(self, number: int, job: _Job) -> None:
        if not job.losses and not job.future.set_running_or_notify_cancel():
            self._jobs.done()
            return
        outcome: Any = attempt(self._answer, number, job)
        if isinstance(outcome.error, self._ray.exceptions.RayError):
            self._lost(number, job, outcome.error)
            return
        if outcome.error is None:
            outcome, job.future.output = outcome.value
        if outcome.error is None:
            outcome = attempt(receive, outcome.value, job.kwargs)
        if outcome.error is None:
            job.future.set_result(outcome.value)
        else:
            job.future.set_exception(outcome.error)
        self._jobs.done()

    def _answer(self, number: int, job: _Job) -> Any:
        return self._ray.get(self._actors[number].call.remote(job.call, job.deadline_s))

    def _lost(self, number: int, job: _Job, error: BaseException) -> None:
        """Gives the call of a lost slot back to the queue, or fails it after too many losses."""
        self._end_slot(number)
        job.losses += 1
        if self._killed:
            job.future.set_exception(CancelledError("the executor was killed"))
        elif job.losses < MOST_LOSSES:
            log.warning("slot %d was lost (%s); its call is made again in another one", number, first_line(error))
            self._jobs.give_back(job)
            return
        else:
            job.future.set_exception(WorkerError(f"{job.losses} slots were lost with it; {first_line(error)}"))
        self._jobs.done()

    def _started(self, number: int) -> bool:
        """Starts a slot again, however long it takes; False where it could not, or is no longer wanted."""
        outcome = attempt(self._start_slot, number)
        if outcome.error is None:
            self._failed_starts = 0
        elif self._open and not self._killed:
            log.warning("slot %d could not be started: %s", number, first_line(outcome.error))
            self._failed_starts += 1
            if self._failed_starts >= MOST_FAILED_STARTS and not self._actors:
                self._fail_waiting(outcome.error)
            time.sleep(POLL_S)
        return outcome.error is None and number in self._actors

    def _fail_waiting(self, error: BaseException) -> None:
        for job in self._jobs.clear():
            if job.losses or job.future.set_running_or_notify_cancel():
                job.future.set_exception(WorkerError(f"no slot of the cluster can be started; {first_line(error)}"))

    def _start_slot(self, number: int, end: float | None = None) -> None:
        """Starts the actor of a slot and waits until it is ready, at most until `end` by the monotonic clock.

        Raises:
            ConfigError: It was not ready then, or its node has other versions.
        """
        actor = self._class.options(**self._request.actor_options()).remote(
            self._packed, self._roots, _own_folders(), self._request.host_gb, self._request.gpu_gb
        )
        self._actors[number] = actor
        ready = actor.ready.remote()
        try:
            warn_at = time.monotonic() + self._request.wait_s
            while not self._ray.wait([ready], timeout=POLL_S)[0]:
                now = time.monotonic()
                if end is not None and now >= end:
                    raise ConfigError(self._request.unmet(nodes(self._ray)))
                if now >= warn_at:
                    log.warning("%s", self._request.unmet(nodes(self._ray)))
                    warn_at = float("inf")
                if self._killed or (end is None and not self._jobs.has_job(0)):
                    self._end_slot(number)
                    return
            _check_versions(self._ray.get(ready))
        except BaseException:
            self._end_slot(number)
            raise

    def _end_slot(self, number: int) -> None:
        actor = self._actors.pop(number, None)
        if actor is not None:
            attempt(self._ray.kill, actor)  # It raises for an actor or a cluster that is gone.


def _own_folders() -> list[str]:
    """The entries of the import path that are not of the Python installation, as absolute paths."""
    entries = [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]
    return [entry for entry in entries if not entry.startswith((sys.prefix, sys.base_prefix))]


def _check_versions(theirs: dict[str, Any]) -> None:
    ours = versions()
    for package in SAME_VERSIONS:
        if theirs.get(package) != ours.get(package):
            raise ConfigError(
                f"a node of the Ray cluster has {package} {theirs.get(package)}, and this machine has "
                f"{ours.get(package)}; install the same version on all"
            )
