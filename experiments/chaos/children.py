"""Forked children in which a part of the experiments tries something, with their time and memory."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.failures import attempt, reason

KIB = 1024
MIB = 2**20


@dataclass(frozen=True)
class Tried:
    """What became of a try.

    Attributes:
        answer: What the function returned, as JSON values; None where the child ended before.
        end: How a child without an answer ended; empty where it answered.
        seconds: Seconds that the function took.
        peak_mib: Peak of the child's resident memory above that at the start of the function, in MiB.
    """

    answer: Any
    end: str
    seconds: float
    peak_mib: float


def in_child(function: Callable[[], Any], limit_s: float) -> Tried:
    """Calls a function in a forked child of this process, whose modules are imported already.

    Args:
        function: Returns JSON values. An exception is reported as the child's end.
        limit_s: Seconds after which the child is killed.
    """
    return in_children([function], limit_s)[0]


def in_children(functions: Sequence[Callable[[], Any]], limit_s: float) -> list[Tried]:
    """Calls each function as `in_child`, all at the same time."""
    began = time.monotonic()
    return [_ended(pid, pipe, limit_s, began) for pid, pipe in [_started(each, limit_s) for each in functions]]


def _started(function: Callable[[], Any], limit_s: float) -> tuple[int, int]:
    """Starts a child; returns its process number and the descriptor of its answer."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(math.ceil(limit_s))
            _answer(function, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    return pid, ours


def _ended(pid: int, descriptor: int, limit_s: float, began: float) -> Tried:
    """What became of a child that was started."""
    with os.fdopen(descriptor, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    try:
        answer, error, seconds, peak = json.loads(content)
    except ValueError:
        code = os.waitstatus_to_exitcode(status)
        end = f"no answer after {limit_s:g} s" if code == -signal.SIGALRM else f"it ended with status {code}"
        return Tried(None, end, time.monotonic() - began, 0.0)
    return Tried(answer, error, seconds, peak)


def _answer(function: Callable[[], Any], descriptor: int) -> None:
    before = _reset_peak()
    began = time.perf_counter()
    outcome = attempt(function)
    seconds = time.perf_counter() - began
    answer, error = outcome.value, "" if outcome.error is None else reason(outcome.error)
    data = json.dumps([answer, error, seconds, max(0.0, (_peak("VmHWM") - before) / MIB)]).encode()
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


def _reset_peak() -> int:
    """Sets the peak of this process's memory to its present memory, which is returned in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak("VmRSS")


def _peak(entry: str) -> int:
    """An entry of the process's status in bytes; 0 where the system has none."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith(f"{entry}:")), 0)
