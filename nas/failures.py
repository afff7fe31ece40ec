"""Calls of code that may raise anything: candidates' networks, files of users, damaged inputs."""

from __future__ import annotations

import errno
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

log = logging.getLogger(__name__)

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)
MACHINE_FAULTS = frozenset([errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EROFS])
"""Numbers of the system's errors that are the machine's: a full or failing disk, a limit of files' sizes."""

OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Texts in torch's errors that say that memory ran out, beside errors of a class of their own."""


class OwnFileError(OSError):
    """A file of a run that cannot be written: a fault of the machine, whatever its number, as of a read-only folder."""


@dataclass(frozen=True)
class Returned(Generic[T_co]):
    """A call that returned.

    Attributes:
        value: What it returned.
        error: None.
    """

    value: T_co
    error: ClassVar[None] = None


@dataclass(frozen=True)
class Raised:
    """A call that raised.

    Attributes:
        error: What it raised.
        value: None.
    """

    error: Exception | SystemExit
    value: ClassVar[None] = None


def attempt(fn: Callable[P, T_co], /, *args: P.args, **kwargs: P.kwargs) -> Returned[T_co] | Raised:
    """Calls foreign code and returns its result or its error; `outcome.error is None` tells which, for mypy also.

    KeyboardInterrupt passes through. The traceback of an error is logged at debug level.
    """
    try:
        return Returned(fn(*args, **kwargs))
    except (Exception, SystemExit) as error:
        log.debug("the call failed", exc_info=True)
        return Raised(error)


def is_machine_fault(error: BaseException) -> bool:
    """Whether an error is the machine's, so that the same call may succeed later, and not the called code's."""
    return isinstance(error, OwnFileError) or (isinstance(error, OSError) and error.errno in MACHINE_FAULTS)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or torch says that memory ran out, on any device."""
    if isinstance(error, RuntimeError):
        torchs = any((cls.__module__, cls.__name__) == ("torch", "OutOfMemoryError") for cls in type(error).__mro__)
        return torchs or any(sign in str(error) for sign in OUT_OF_MEMORY)
    return isinstance(error, MemoryError)


def reason(error: BaseException) -> str:
    """An error as 'TypeName: message': one printable line of at most 500 characters, for any file and terminal."""
    message = attempt(str, error)
    text = f"{type(error).__name__}: {'(it has no message)' if message.error is not None else message.value}"
    line = " ".join(text.encode(errors="replace").decode().split()).removesuffix(":")
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable if len(printable) <= 500 else printable[:499] + "…"


def place(cls: type[Any], method: str, error: BaseException | None = None) -> str:
    """The source line of a user's class that is at fault, such as 'mine.py:12'.

    Args:
        cls: The user's class.
        method: The method that was called.
        error: What it raised. The innermost line of the class's file in its traceback is taken.

    Returns:
        File name and line; the first line of `method` where no error passed the class's file; '`method` of `cls`' where
        there is no source.
    """
    lines = {}
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        lines[trace.tb_frame.f_code.co_filename] = trace.tb_lineno
        trace = trace.tb_next
    # A user's class may be made in ways that `inspect` does not expect, so it is foreign here too.
    file = attempt(inspect.getsourcefile, cls)
    if file.value is None:
        return f"{method} of {cls.__name__}"
    if file.value in lines:
        return f"{Path(file.value).name}:{lines[file.value]}"
    source = attempt(lambda: inspect.getsourcelines(getattr(cls, method)))
    return f"{method} of {cls.__name__}" if source.error is not None else f"{Path(file.value).name}:{source.value[1]}"
