"""Worker process as the master sees it: started when a call needs it, ended when it fails a call."""

from __future__ import annotations

import logging
import math
import multiprocessing.process
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from ..errors import ConfigError, WorkerError
from ..failures import Raised, Returned

log = logging.getLogger(__name__)

BOOT = "import sys; sys.path[:] = sys.argv[2:]; from nas.executors.worker_main import serve; serve(int(sys.argv[1]))"
"""Program of a worker process; its arguments are the descriptor of its socket and the entries of `sys.path`."""
ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1"
)
"""Environment variables that limit libraries for arithmetic to one thread."""
START_S = 300.0
"""Longest time for a process to start, in seconds: it imports the user's script and torch, maybe from a slow disk."""
POLL_S = 0.2
"""Longest time between two checks that the process is alive, in seconds."""
MOST_WAITED_S = 2 * POLL_S
"""What counts at most of the time between two checks, in seconds: a longer one is of a process that was stopped, as its
worker may have been."""
TAIL_BYTES = 2000
"""Size of the end of a worker's output that is kept for messages."""


class WorkerProcess:
    """A process that runs one call at a time.

    Args:
        environment: Environment variables, added to those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**ONE_THREAD, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._output: int | None = None
        self._fn = b""
        self._tail = b""
        self._killed = False

    def call(self, fn: bytes, call: bytes, main: Mapping[str, Any], deadline_s: float | None) -> Returned[Any] | Raised:
        """Calls a function in the process, which is started if there is none.

        Args:
            fn: The pickled function.
            call: The pickled (args, kwargs).
            main: How to import the master's main module, from `main_module`.
            deadline_s: Seconds after which the process is ended; None for no limit. They count from when the process
                has started and has imported what the call needs.

        Raises:
            WorkerError: The process could not start, died, or passed the deadline. The next call starts a new one.
        """
        if self._process is not None and self._process.poll() is not None:
            self.end()  # It died between two calls, so that this call does not fail for it.
        with ExitStack() as failed:
            failed.callback(self.end)
            if self._process is None:
                self._start(main)
            message = (None if fn == self._fn else fn, call)
            self._ask(message, START_S)
            result, error, text = pickle.loads(self._answer(deadline_s))
            failed.pop_all()
        # After an error the function is sent again, since it may not have arrived.
        self._fn = fn if error is None else b""
        if text:
            log.debug("a call failed in its worker process:\n%s", text)
        return Returned(result) if error is None else Raised(error)

    def kill(self) -> None:
        """Ends the process and its children for good. May be called from any thread and from signal handlers."""
        self._killed = True
        process = self._process
        if process is not None and process.returncode is None:
            _kill_group(process)

    def end(self) -> int | None:
        """Ends the process, if there is one, frees its resources here, and returns its exit code."""
        process = self._process
        if process is None:
            return None
        _kill_group(process)
        process.wait()
        if self._output is not None:
            os.set_blocking(self._output, False)
            with suppress(BlockingIOError):
                while self._output is not None:
                    self._read_output()
        if process.stdout is not None:
            process.stdout.close()
        if self._connection is not None:
            self._connection.close()
        if self._tail:
            log.debug("the end of what a worker process printed:\n%s", self._tail.decode(errors="replace"))
        self._process = None
        return process.returncode

    def _start(self, main: Mapping[str, Any]) -> None:
        """Starts the process as a group leader without a terminal, so that Ctrl-C reaches only the master."""
        self._connection, theirs = Pipe()
        path = [entry for entry in sys.path if isinstance(entry, str)]
        with theirs:
            process = self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", BOOT, str(theirs.fileno()), *path],
                env={**os.environ, **self._environment},
                cwd=_working_directory(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        assert process.stdout is not None
        self._output, self._fn, self._tail = process.stdout.fileno(), b"", b""
        if self._killed:
            _kill_group(process)
        self._ask(main, START_S, "; does the script start its search under `if __name__ == '__main__':`?")

    def _ask(self, message: Any, limit_s: float | None, hint: str = "") -> bytes:
        """Sends a message and waits for the answer; WorkerError, with `hint` at its end, where none comes."""
        assert self._connection is not None
        with suppress(OSError):  # of a process that has ended, which `_answer` explains
            self._connection.send(message)
        return self._answer(limit_s, hint)

    def _answer(self, limit_s: float | None, hint: str = "") -> bytes:
        """The next answer of the process; WorkerError, with `hint` at its end, where none comes."""
        assert self._connection is not None
        left_s = math.inf if limit_s is None else limit_s
        before = time.monotonic()
        try:
            while not self._answered(min(POLL_S, max(0.0, left_s))):
                before, waited_s = time.monotonic(), time.monotonic() - before
                left_s -= min(waited_s, MOST_WAITED_S)
                if left_s <= 0:
                    raise WorkerError(f"no answer after {limit_s:g} s, the longest allowed; its worker was ended{hint}")
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise WorkerError(f"worker ended with {_exit_text(self.end())}{self._last_words()}{hint}") from error

    def _answered(self, timeout_s: float) -> bool:
        """Whether an answer can be read within `timeout_s` seconds; reads what the process prints meanwhile.

        Raises:
            EOFError: The process has ended, but a child of it keeps the connection open.
        """
        assert self._connection is not None
        assert self._process is not None
        sources: list[Connection[Any, Any] | int] = [self._connection]
        if self._output is not None:
            sources.append(self._output)
        ready = wait(sources, timeout_s)
        if self._output in ready:
            self._read_output()
        if not ready and self._process.poll() is not None and not self._connection.poll():
            raise EOFError
        return self._connection in ready

    def _read_output(self) -> None:
        """Reads output and keeps its end, so that a candidate that prints is not blocked and fills no disk."""
        assert self._output is not None
        data = os.read(self._output, 1 << 16)
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        if not data:
            self._output = None

    def _last_words(self) -> str:
        lines = self._tail.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; the last it printed: {last[-200:]!r}" if last else ""


def main_module() -> dict[str, Any]:
    """How a worker can import this process's main module, as `multiprocessing.spawn.prepare` takes it.

    Raises:
        ConfigError: This is a worker that is importing it, so the script lacks the `__main__` guard.
    """
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        raise ConfigError("a worker process started a search on importing the script; put it under the __main__ guard")
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return {"sys_argv": sys.argv, "init_main_from_name": spec.name}
    if path is not None and Path(path).exists():  # it does not for a script read from standard input
        return {"sys_argv": sys.argv, "init_main_from_path": str(Path(path).absolute())}
    return {"sys_argv": sys.argv}


def _working_directory() -> str | None:
    """The working directory of a new worker: None for this process's, or `/` where that was deleted, since torch cannot
    be loaded in none."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "/"
    return None


def _exit_text(code: int | None) -> str:
    """An exit code in words."""
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    memory = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{memory})"


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
