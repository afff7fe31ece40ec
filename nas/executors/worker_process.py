"""Worker process as the master sees it: started when a call needs it, ended when it fails a call."""

from __future__ import annotations

import logging
import math
import multiprocessing.process
import os
import pickle
import pickletools
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from ..errors import ConfigError, WorkerError
from ..failures import Raised, Returned
from .capped_output import CappedOutput
from .channel import Channel
from .limits import NO_LIMITS, MemoryLimits
from .supervised_worker import SupervisedWorker
from .worker_main import NO_CONNECTION

log = logging.getLogger(__name__)

ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1"
)
"""Environment variables that limit libraries for arithmetic to one thread."""
START_S = 300.0
"""Longest time for a process to start, in seconds: it imports the user's script and torch, maybe from a slow disk."""
POLL_S = 0.2
"""Longest time between two looks at the clock, in seconds."""
MOST_WAITED_S = 2 * POLL_S
"""What counts at most of the time between two looks, in seconds: a longer one is of a process that was stopped, as its
worker may have been."""
TORCH = ("torch", "torch._dynamo")
"""What evaluators need of torch. Its optimizers import the second when one is first made, in a second or two."""
END_S = 1.0
"""Time that a worker has to end after its connection has closed, in seconds; then it is ended."""
READ_BYTES = 1 << 16
PIPE_READS = 64
"""Reads of READ_BYTES that empty the largest pipe."""
SEARCHED_BYTES = 1 << 20
"""Longest pickle of a function whose modules are looked for, to import them before a worker is forked."""


class WorkerProcess:
    """A process that runs one call at a time.

    Args:
        environment: Environment variables, added to those of this process.
        limits: Limits on its memory.

    Attributes:
        was_killed: Whether SIGKILL ended the process during the last call, as where the system's memory runs out, and
            did not come from here.
    """

    def __init__(self, environment: Mapping[str, str], limits: MemoryLimits = NO_LIMITS) -> None:
        self._environment = {**ONE_THREAD, **environment}
        self._limits = limits
        self._supervised: SupervisedWorker | None = None
        self._channel: Channel | None = None
        self._modules: frozenset[str] = frozenset()
        self._fn = b""
        self._output = CappedOutput()
        self._killed = False
        self.was_killed = False

    @property
    def output(self) -> bytes:
        """What the last call printed; the middle of a long output is left out."""
        return self._output.content()

    def call(self, fn: bytes, call: bytes, main: Mapping[str, Any], deadline_s: float | None) -> Returned[Any] | Raised:
        """Calls a function in the process, which is started if there is none.

        Args:
            fn: The pickled function.
            call: The pickled (args, kwargs).
            main: How to import the master's main module, from `main_module`.
            deadline_s: Seconds after which the process is ended; None for no limit. They count from when the process
                has started and has imported what the call needs.

        Raises:
            WorkerError: The process could not start, died, passed the deadline, or its answer is damaged. The next call
                starts a new one.
        """
        if self._channel is not None and self._spoiled():
            self.end()  # It died between two calls, so that this call does not fail for it.
        self._output, self.was_killed = CappedOutput(), False
        with ExitStack() as failed:
            failed.callback(self.end)
            if self._channel is None:
                self._start(main, _modules_of(fn))
            message = pickle.dumps((None if fn == self._fn else fn, call))
            self._ask(message, START_S)
            answer, changes, modules = pickle.loads(self._answer(deadline_s))
            result, error, text = pickle.loads(answer)
            failed.pop_all()
        self._read_rest()
        # After an error the function is sent again, since it may not have arrived.
        self._fn = fn if error is None else b""
        self._modules |= modules
        if text:
            log.debug("a call failed in its worker process:\n%s", text)
        if changes:
            log.debug("a call changed in its process %s; the process is replaced", ", ".join(changes))
            self.end()
        return Returned(result) if error is None else Raised(error)

    def kill(self) -> None:
        """Ends the process and its children for good. May be called from any thread and from signal handlers."""
        self._killed = True
        supervised = self._supervised
        if supervised is not None:
            supervised.disconnect()

    def end(self) -> int | None:
        """Ends the process and all that it started, if there is one, and returns its exit code where that is known."""
        if self._supervised is None or self._channel is None:
            return None
        code = self._supervised.end()
        self._read_rest()
        self._channel.close()
        self._channel, self._fn = None, b""
        if code is None:
            self.close()
        return code

    def close(self) -> None:
        """Ends the process and its supervisor, and frees their resources here."""
        self.end()
        if self._supervised is not None:
            self._supervised.close()
            self._supervised = None

    def _spoiled(self) -> bool:
        """Whether an idle process has ended, or has sent what nobody asked for."""
        assert self._channel is not None
        assert self._supervised is not None
        return bool(wait([self._channel.fileno(), self._supervised.fileno()], 0))

    def _start(self, main: Mapping[str, Any], modules: Sequence[str]) -> None:
        if self._supervised is None:
            self._supervised = SupervisedWorker(self._environment)
        self._modules |= frozenset(modules)
        self._channel = self._supervised.start(sorted(self._modules), self._limits.host_gb)
        if self._killed:
            self._supervised.disconnect()
        hint = "; does the script start its search under `if __name__ == '__main__':`?"
        self._ask(pickle.dumps((main, self._limits.gpu_gb)), START_S, hint)

    def _ask(self, message: bytes, limit_s: float | None, hint: str = "") -> bytes:
        """Sends a message and waits for the answer; WorkerError, with `hint` at its end, where none comes."""
        assert self._channel is not None
        with suppress(OSError):  # of a process that has ended, which `_answer` explains
            self._channel.send(message)
        return self._answer(limit_s, hint)

    def _answer(self, limit_s: float | None, hint: str = "") -> bytes:
        """The next answer of the process; WorkerError, with `hint` at its end, where none comes."""
        left_s = math.inf if limit_s is None else limit_s
        before = time.monotonic()
        try:
            while (answer := self._answered(min(POLL_S, max(0.0, left_s)))) is None:
                before, waited_s = time.monotonic(), time.monotonic() - before
                left_s -= min(waited_s, MOST_WAITED_S)
                if left_s <= 0:
                    raise WorkerError(f"no answer after {limit_s:g} s, the longest allowed; its worker was ended{hint}")
            return answer
        except (EOFError, OSError) as error:
            ended = self._supervised is not None and bool(wait([self._supervised.fileno()], END_S))
            code = self.end()
            if not ended:
                raise WorkerError(f"a worker closed the connection to its master; it was ended{hint}") from error
            self.was_killed = code == -signal.SIGKILL
            last = self._output.last_line()
            words = f"; the last it printed: {last[-200:]!r}" if last else ""
            raise WorkerError(f"worker ended with {_exit_text(code)}{words}{hint}") from error

    def _answered(self, timeout_s: float) -> bytes | None:
        """The answer, where it arrives within `timeout_s` seconds; reads what the process prints meanwhile.

        Raises:
            EOFError: The process has ended.
            WorkerError: What arrived is no answer.
        """
        assert self._channel is not None
        assert self._supervised is not None
        if (answer := self._channel.received()) is not None:
            return answer
        channel, ended, output = self._channel.fileno(), self._supervised.fileno(), self._supervised.output
        ready = wait([channel, ended, output], timeout_s)
        if output in ready:
            self._read_output()
        if channel in ready:
            self._channel.read()
        elif ended in ready:
            raise EOFError
        return self._channel.received()

    def _read_output(self) -> bool:
        """Reads output, so that a candidate that prints is not blocked; False where there is none."""
        assert self._supervised is not None
        data = os.read(self._supervised.output, READ_BYTES)
        self._output.add(data)
        return bool(data)

    def _read_rest(self) -> None:
        """Reads the output that is still in the pipe, where something that goes on printing may add to it."""
        assert self._supervised is not None
        for _ in range(PIPE_READS):
            if not wait([self._supervised.output], 0) or not self._read_output():
                break


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


def _modules_of(fn: bytes) -> list[str]:
    """The modules that a pickled function names, without unpickling it; those of torch too for an evaluator."""
    if len(fn) > SEARCHED_BYTES:
        return []
    names = {text for _, text, _ in pickletools.genops(fn) if isinstance(text, str) and text in sys.modules}
    return [*names, *TORCH] if any(name.startswith("nas.evaluators.") for name in names) else [*names]


def _exit_text(code: int | None) -> str:
    """An exit code in words."""
    if code == NO_CONNECTION:
        return f"exit status {code}, since its connection was closed or replaced by what ran in it"
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    memory = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{memory})"
