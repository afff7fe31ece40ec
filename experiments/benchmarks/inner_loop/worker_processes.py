"""The processes that `inner_loop` measures: each holds one contender, and works only when told to."""

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
    """A process with one object in it, made there by `make(*arguments)`, whose methods are called by name."""

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

    def ask(self, method: str, *arguments: object) -> None:
        """Sets the worker to work, and does not wait."""
        with suppress(BrokenPipeError):  # it ended early: `answer` says so
            self._connection.send((method, arguments))

    def answer(self) -> Any:
        """What the method that was asked for returned. Raises NasError where the process ended instead."""
        try:
            return self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise NasError("a process of the benchmark ended early; what it said stands above") from None

    def call(self, method: str, *arguments: object) -> Any:
        """Asks, and waits for the answer."""
        self.ask(method, *arguments)
        return self.answer()


def _serve(connection: Connection, make: Callable[..., object], arguments: tuple[object, ...]) -> None:
    held = make(*arguments)
    while True:
        try:
            method, given = connection.recv()
        except EOFError:  # the benchmark is over
            return
        connection.send(getattr(held, method)(*given))


def timed(work: Callable[[], object], seconds: float, device: torch.device) -> tuple[int, float]:
    """Repeats `work` for at least so many seconds, at least once: how often, and the seconds it took."""
    began, times = time.perf_counter(), 0
    with full_float32():
        while times == 0 or time.perf_counter() - began < seconds:
            work()
            times += 1
            if device.type == "cuda":
                torch.cuda.synchronize(device)
    return times, time.perf_counter() - began


def full_float32() -> AbstractContextManager[None]:
    """Without TensorFloat-32 in a GPU's convolutions, for everyone: as a search runs, so that it can be repeated."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    return flags


def peak_mib(device: torch.device) -> float:
    """The most memory that this process has held: its resident set, or on a GPU what it had allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        # Not `ru_maxrss`, which starts at what the parent held.
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
