"""Jobs that can only be asked whether they are done, such as those of submitit, as futures."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from ..failures import attempt

POLL_S = 0.5
"""Seconds between two looks at the jobs; submitit looks at files and asks Slurm less often than that."""


class Job(Protocol):
    """A job as submitit's `Job` is one."""

    def done(self) -> bool: ...

    def result(self) -> Any: ...

    def cancel(self) -> Any: ...


class PolledJobs:
    """Makes futures of jobs. One thread looks at all of them, as long as there are any."""

    def __init__(self) -> None:
        self._jobs: dict[Future[Any], Job] = {}
        self._lock = threading.Lock()
        self._looks = False

    def future(self, job: Job) -> Future[Any]:
        """A future that has the job's result or error once the job is done."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._jobs[future] = job
            if not self._looks:
                self._looks = True
                threading.Thread(target=self._look, daemon=True).start()
        return future

    def cancel(self) -> None:
        """Cancels the jobs that are not done."""
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        for future, job in jobs.items():
            attempt(job.cancel)
            future.set_exception(CancelledError("the executor was killed"))

    def _look(self) -> None:
        while True:
            with self._lock:
                waiting = dict(self._jobs)
                if not waiting:
                    self._looks = False
                    return
            for future, job in waiting.items():
                done = attempt(job.done)
                if done.error is None and not done.value:
                    continue
                outcome = attempt(job.result) if done.error is None else done
                with self._lock:
                    if self._jobs.pop(future, None) is None:
                        continue
                if outcome.error is None:
                    future.set_result(outcome.value)
                else:
                    future.set_exception(outcome.error)
            time.sleep(POLL_S)
