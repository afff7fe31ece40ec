"""State of a worker process that a call may change: comparison before and after, and restoration."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import stat
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..failures import attempt
from .patched import put_back, watched
from .torch_state import CHEAP_PARTS, NUMPY_PARTS, TORCH_PARTS, StatePart


@dataclass(frozen=True)
class ProcessState:
    """State of this process before a call.

    Attributes:
        values: By part, what it was.
        descriptors: The open descriptors, each with what it refers to.
        descriptors_count: Whether files that the call leaves open are told.
        threads: The threads of Python.
        functions: Functions and classes of modules, which a call could replace.
    """

    values: tuple[tuple[StatePart, Any], ...]
    descriptors: dict[int, tuple[int, int]]
    descriptors_count: bool
    threads: frozenset[threading.Thread]
    functions: dict[Any, dict[str, Any]] = field(repr=False)

    @classmethod
    def now(cls, *, first_call: bool) -> ProcessState:
        """The present state.

        Args:
            first_call: Whether a function is called for the first time. It may then open what it keeps, such as a GPU.
        """
        values = tuple((part, part.read()) for part in _parts())
        return cls(values, _descriptors(), not first_call, frozenset(threading.enumerate()), watched())

    def restored(self) -> tuple[str, ...]:
        """Undoes what was changed since, and returns what cannot be undone, for which the process must be replaced."""
        undone = attempt(self._restore)
        return undone.value if undone.error is None else ("a state that cannot be read",)

    def _restore(self) -> tuple[str, ...]:
        put_back(self.functions)
        known = dict(self.values)
        # Of a module that the call imported, what it was then is known where that is the same in every process.
        new = [(part, part.initial) for part in _parts() if part not in known]
        # torch sets some of these when it is imported, and is imported once.
        kept = OF_IMPORTS if any(part in TORCH_PARTS for part, _ in new) else ()
        before = [*new, *(pair for pair in self.values if pair[0] not in kept)]
        changes = restore_parts((part, value) for part, value in before if value is not None)
        changes += _started(self.threads)
        changes += self._files()
        return tuple(changes)

    def _files(self) -> list[str]:
        """What is told of descriptors: that others were closed or replaced, or that some were left open."""
        now = _descriptors()
        if any(now.get(number) != what for number, what in self.descriptors.items()):
            return ["open descriptors that are not its own"]
        if not self.descriptors_count or now.keys() == self.descriptors.keys():
            return []
        gc.collect()
        new = _descriptors().keys() - self.descriptors.keys()
        return ["files left open"] if any(map(_is_file, new)) else []


def set_generators() -> None:
    """Gives the global generators of Python and torch, which new processes seed differently, the same state."""
    random.setstate(random.Random(0).getstate())
    if _has_torch():
        import torch

        torch.default_generator.manual_seed(0)


def inline_state() -> tuple[tuple[StatePart, Any], ...]:
    """What is restored after a call in the process of the search itself, where little time is to be spent on it."""
    return tuple((part, part.read()) for part in (DIRECTORY, *(CHEAP_PARTS if _has_torch() else ())))


def restore_parts(values: Iterable[tuple[StatePart, Any]]) -> list[str]:
    """Sets parts to earlier values, and returns the names of those for which that is not possible."""
    return [part.name for part, value in values if not _restore_part(part, value)]


def _restore_part(part: StatePart, before: Any) -> bool:
    """Whether a part is as it was, or is again."""
    if part.same(before, part.read()):
        return True
    if part.restore is None or attempt(part.restore, before).error is not None:
        return False
    return part.same(before, part.read())


def _parts() -> list[StatePart]:
    """The parts, in the order in which they are restored: to restore those of torch may import more of it."""
    numpy = NUMPY_PARTS if "numpy.random" in sys.modules else ()
    return [*(TORCH_PARTS if _has_torch() else ()), *numpy, *PARTS]


def _has_torch() -> bool:
    """Whether torch is imported to its end."""
    return hasattr(sys.modules.get("torch"), "nn")


def _descriptors() -> dict[int, tuple[int, int]]:
    """The open descriptors of this process; empty where the system does not tell them."""
    found = {}
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the listing itself
                status = os.fstat(int(name))
                found[int(name)] = status.st_dev, status.st_ino
    return found


def _is_file(descriptor: int) -> bool:
    """Whether a descriptor is of a file, folder, pipe or socket, and not of a device or of the system's own kinds."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _started(threads: frozenset[threading.Thread]) -> list[str]:
    """What is told of threads and processes that a call has started and that still run."""
    told = ["threads that it started"] if set(threading.enumerate()) - threads else []
    own = os.getpid()
    with suppress(OSError):  # a system that does not tell children
        parent = os.getppid()
        children = Path(f"/proc/self/task/{own}/children").read_text().split()
        siblings = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children or siblings != [str(own)]:
            told.append("processes that it started")
    return told


def _directory() -> str:
    """The working directory; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _signals() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_signals(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _set_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _blocked() -> set[Any]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _block(numbers: set[Any]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


def _timers() -> bool:
    return any(signal.getitimer(which)[0] for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF))


def _stop_timers(_before: bool) -> None:
    for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(which, 0)


def _filters() -> tuple[Any, ...]:
    return (*warnings.filters, warnings.showwarning)


def _set_filters(before: tuple[Any, ...]) -> None:
    *filters, warnings.showwarning = before
    # The documented way to have a changed list of filters noticed.
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]  # a list, whatever typeshed says


def _interpreter() -> tuple[Any, ...]:
    return (
        sys.stdin,
        sys.stdout,
        sys.stderr,
        sys.excepthook,
        sys.displayhook,
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        sys.gettrace(),
        sys.getprofile(),
        gc.isenabled(),
    )


def _set_interpreter(before: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook = before[:5]
    sys.setrecursionlimit(before[5])
    sys.setswitchinterval(before[6])
    sys.settrace(before[7])
    sys.setprofile(before[8])
    (gc.enable if before[9] else gc.disable)()


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, root.manager.disable, root.disabled, *root.handlers


def _set_logging(before: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.level, root.manager.disable, root.disabled, *root.handlers = before
    root.manager._clear_cache()  # type: ignore[attr-defined]  # as `setLevel` does


def _set_path(before: Sequence[str]) -> None:
    sys.path[:] = before


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


DIRECTORY = StatePart("the working directory", _directory, os.chdir)
ENVIRONMENT = StatePart("the environment", lambda: dict(os.environ), _set_environment)
FILTERS = StatePart("filters of warnings", _filters, _set_filters)
OF_IMPORTS = (ENVIRONMENT, FILTERS)
PARTS: tuple[StatePart, ...] = (
    DIRECTORY,
    StatePart("the umask", _umask, os.umask),
    ENVIRONMENT,
    StatePart("handlers of signals", _signals, _set_signals),
    StatePart("blocked signals", _blocked, _block),
    StatePart("timers", _timers, _stop_timers),
    StatePart("the priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), None),
    StatePart("the processors", _affinity, lambda processors: os.sched_setaffinity(0, processors)),
    FILTERS,
    StatePart("the interpreter", _interpreter, _set_interpreter),
    StatePart("logging", _logging, _set_logging),
    StatePart("sys.path", lambda: list(sys.path), _set_path),
    StatePart("the random numbers of Python", random.getstate, random.setstate),
    StatePart(
        "the locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)
    ),
)
