"""Executor whose slots are the trials of a local NNI experiment, with NNI's web page."""

from __future__ import annotations

import itertools
import json
import logging
import os
import pickle
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigError, WorkerError
from ..failures import attempt, reason
from .capped_output import OutputFuture
from .job_queue import JobQueue
from .limits import NO_LIMITS, MemoryLimits
from .remote_call import RemoteCall, receive, remote_call
from .retried_call import both_calls

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MOST_LOSSES = 3
"""Trials of NNI that a call may lose before it counts as failed."""
NNI_VERSION = "3.0"
INSTALL = "pip install 'adaptnas[nni]'"


@dataclass
class _Job:
    """A call, with the number of NNI's trials that were lost with it."""

    number: int
    future: OutputFuture[Any]
    call: RemoteCall
    kwargs: Mapping[str, Any]
    shown: dict[str, Any]
    deadline_s: float | None
    losses: int = 0


class NniExecutor(Executor):
    """An executor that hosts calls in trials of NNI, one call a trial.

    Each trial gets the number of a call, fetches the call from this process through a socket in a private folder, makes
    it in a worker process of its own, and returns the result the same way. What NNI records is for its page alone. A
    call whose trial ends without a result is made again in another one. NNI's manager listens on 127.0.0.1 alone.

    Args:
        workers: Number of trials at a time, at least 1.
        port: Port of NNI's page, from 1024.
        deadline_s: Longest time of one call in seconds; None for no limit.
        limits: Limits on the memory of each trial's worker process.

    Raises:
        ConfigError: NNI or a package that it needs is missing or of another version, or its manager does not start.
    """

    def __init__(
        self, workers: int, *, port: int = 8080, deadline_s: float | None = None, limits: MemoryLimits = NO_LIMITS
    ) -> None:
        check_versions()
        self.workers, self.deadline_s, self._limits = workers, deadline_s, limits
        self._jobs: JobQueue[_Job] = JobQueue()
        self._numbers = itertools.count()
        self._running: dict[int, _Job] = {}
        self._connections: set[Connection[Any, Any]] = set()
        self._open, self._killed = True, False
        self._folder = Path(tempfile.mkdtemp(prefix="adaptnas-nni-"))
        self._listener = Listener(str(self._folder / "socket"), "AF_UNIX")
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            self._experiment = _started(str(self._folder / "socket"), workers, port, self._folder)
        except BaseException:
            self._close()
            raise
        log.warning("NNI's page is http://127.0.0.1:%d", port)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues a call for the next trial of NNI.

        Raises:
            ConfigError: The call cannot be pickled.
            RuntimeError: The executor was shut down or killed.
        """
        if not self._open:
            raise RuntimeError("cannot submit to an executor that was shut down")
        call = remote_call(fn, args, kwargs, [])
        future: OutputFuture[T] = OutputFuture()
        shown = _shown(both_calls(fn)[0], args)
        self._jobs.put(_Job(next(self._numbers), future, call, dict(kwargs), shown, self.deadline_s))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. NNI ends after the submitted calls, or with `cancel_futures` the running ones."""
        self._open = False
        if cancel_futures:
            for job in self._jobs.clear():
                job.future.cancel()
                job.future.set_running_or_notify_cancel()  # wakes up those who wait for it
        self._jobs.close()
        if wait:
            self._jobs.wait_until_finished()
            attempt(self._experiment.stop)
            self._close()

    def kill(self) -> None:
        """Ends all trials at once and cancels every unfinished future, without waiting."""
        self._killed = True
        for connection in list(self._connections):
            with suppress(OSError):
                connection.close()
        self.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> None:
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- connections of NNI's processes, each in a thread -------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection[Any, Any]) -> None:
        from .nni_trial import TRIAL
        from .nni_tuner import TUNER

        self._connections.add(connection)
        with connection, suppress(EOFError, OSError):
            first = connection.recv_bytes()
            if first == TUNER:
                self._give_numbers(connection)
            elif first.startswith(TRIAL):
                self._make(int(first.removeprefix(TRIAL)), connection)
        self._connections.discard(connection)

    def _give_numbers(self, connection: Connection[Any, Any]) -> None:
        """Sends the number of each call that waits to the tuner, which passes it to a trial."""
        while self._jobs.has_job():
            job = self._jobs.take()
            if job is None:
                continue
            if not job.losses and not job.future.set_running_or_notify_cancel():
                self._jobs.done()
                continue
            self._running[job.number] = job
            try:
                connection.send_bytes(json.dumps({"call": job.number, **job.shown}).encode())
            except OSError:  # NNI's manager is gone
                self._running.pop(job.number, None)
                self._lost(job)
                raise

    def _make(self, number: int, connection: Connection[Any, Any]) -> None:
        """Sends a call to the trial that has its number, and receives its result."""
        job = self._running.pop(number, None)
        if job is None:  # a trial that NNI has started again by itself
            return
        try:
            connection.send_bytes(pickle.dumps((job.call, job.deadline_s, self._limits)))
            outcome, job.future.output = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            self._lost(job)
            return
        received = outcome if outcome.error is not None else attempt(receive, outcome.value, job.kwargs)
        if received.error is None:
            job.future.set_result(received.value)
        else:
            job.future.set_exception(received.error)
        self._jobs.done()

    def _lost(self, job: _Job) -> None:
        job.losses += 1
        if self._killed:
            job.future.set_exception(CancelledError("the executor was killed"))
        elif job.losses < MOST_LOSSES:
            log.warning("a trial of NNI ended without a result; its call is made again")
            self._jobs.give_back(job)
            return
        else:
            job.future.set_exception(WorkerError(f"{job.losses} trials of NNI ended without a result"))
        self._jobs.done()


def check_versions() -> None:
    """Checks that NNI is there in the version that this project knows, with packages that it runs with.

    Raises:
        ConfigError: It is not.
    """
    try:
        found, filelock = version("nni"), version("filelock")
    except PackageNotFoundError as error:
        raise ConfigError(f"engine 'nni' needs the package {error.name}; {INSTALL}") from None
    if found != NNI_VERSION:
        raise ConfigError(f"engine 'nni' needs NNI {NNI_VERSION}, and there is {found}; {INSTALL}")
    if tuple(map(int, filelock.split(".")[:2])) >= (3, 12):
        raise ConfigError(f"with filelock {filelock} NNI waits on its own lock for ever; {INSTALL} has one below 3.12")


def _shown(fn: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """What NNI's page shows of a call."""
    shown: dict[str, Any] = {"function": getattr(fn, "__name__", type(fn).__name__)}
    for argument in args:
        if hasattr(argument, "picks") and hasattr(argument, "key"):  # an architecture
            shown |= {"key": argument.key, **argument.picks}
    return shown


def _started(address: str, workers: int, port: int, folder: Path) -> Any:
    """The experiment of NNI, whose trials fetch their calls at an address.

    Raises:
        ConfigError: Its manager does not start.
    """
    from nni.experiment import Experiment
    from nni.experiment.config import CustomAlgorithmConfig

    logging.getLogger("nni").setLevel(logging.ERROR)
    experiment = Experiment("local")
    config = experiment.config
    config.experiment_name = "adaptnas"
    config.experiment_working_directory = str(folder / "experiments")
    config.search_space = {}
    config.trial_command = shlex.join([sys.executable, "-m", "nas.executors.nni_trial", json.dumps(address)])
    config.trial_code_directory = str(folder)
    config.trial_concurrency = workers
    config.training_service.use_active_gpu = True
    config.tuner = CustomAlgorithmConfig(
        class_name="nas.executors.nni_tuner.CallTuner", code_directory=str(folder), class_args={"address": address}
    )
    with _loopback():
        started = attempt(experiment.start, port)
    if started.error is not None:
        raise ConfigError(f"NNI's manager does not start ({reason(started.error)}); is port {port} in use?")
    return experiment


@contextmanager
def _loopback() -> Iterator[None]:
    """Environment in which NNI's manager, a Node.js program, listens on this machine alone."""
    before = os.environ.get("NODE_OPTIONS")
    preload = f'--require "{Path(__file__).with_name("nni_loopback.js")}"'
    os.environ["NODE_OPTIONS"] = preload if before is None else f"{before} {preload}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NODE_OPTIONS"]
        else:
            os.environ["NODE_OPTIONS"] = before
