"""Worker processes of the benchmark: one contender each, called by method name."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch

from nas.errors import NasError


class Worker:
    """Process that makes one object by `make(*arguments)` and runs its methods on request."""

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def start(self, method: str, *arguments: object) -> None:
        """Start a method without waiting for its result."""
        with suppress(BrokenPipeError):  # the process ended early, which `result` reports
            self._connection.send((method, arguments))

    def result(self) -> Any:
        """The result of the method that was started.

        Raises:
            NasError: The process ended instead.
        """
        try:
            return self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise NasError("a process of the benchmark ended early; its error message stands above") from None

    def call(self, method: str, *arguments: object) -> Any:
        """Start a method and wait for its result."""
        self.start(method, *arguments)
        return self.result()


def _serve(connection: Connection, make: Callable[..., object], arguments: tuple[object, ...]) -> None:
    contender = make(*arguments)
    while True:
        try:
            method, method_arguments = connection.recv()
        except EOFError:  # the benchmark has closed the connection
            return
        connection.send(getattr(contender, method)(*method_arguments))


def timed(work: Callable[[], object], seconds: float, device: torch.device) -> tuple[int, float]:
    """Repeat a call for at least `seconds`, at least once; return the number of calls and their total seconds."""
    began, times = time.perf_counter(), 0
    with full_float32():
        while times == 0 or time.perf_counter() - began < seconds:
            work()
            times += 1
            if device.type == "cuda":
                torch.cuda.synchronize(device)
    return times, time.perf_counter() - began


def full_float32() -> AbstractContextManager[None]:
    """Context without TensorFloat-32 in a GPU's convolutions, as in a search, whose scores must be reproducible."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    return flags


def peak_mib(device: torch.device) -> float:
    """Peak memory of this process in MiB: its resident set, or on a GPU its allocations there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        # `ru_maxrss` would start at the parent's peak.
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
