"""Calls of code that may raise anything: candidates, files of users, damaged inputs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def attempt(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> tuple[Any, BaseException | None]:
    """What a call returns, or what it raises: (result, None) or (None, error). The traceback is logged at debug.

    A Ctrl-C is let through.
    """
    try:
        return fn(*args, **kwargs), None
    except (Exception, SystemExit) as error:
        log.debug("the call failed", exc_info=True)
        return None, error


def reason(error: BaseException) -> str:
    """An error in one line of at most 500 characters that any file and terminal can hold: 'TypeName: message'."""
    message, failed = attempt(str, error)
    text = f"{type(error).__name__}: {'(it has no message)' if failed else message}"
    line = " ".join(text.encode(errors="replace").decode().split()).removesuffix(":")
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable if len(printable) <= 500 else printable[:499] + "…"


def place(cls: type[Any], method: str, error: BaseException | None = None) -> str:
    """'mine.py:12': the innermost line of the class's file that an error passed, else where the method begins."""
    lines = {}
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        lines[trace.tb_frame.f_code.co_filename] = trace.tb_lineno
        trace = trace.tb_next
    file, failed = attempt(inspect.getsourcefile, cls)
    if failed is None and file in lines:
        return f"{Path(file).name}:{lines[file]}"
    source, failed = attempt(lambda: inspect.getsourcelines(getattr(cls, method)))
    return f"{method} of {cls.__name__}" if failed else f"{Path(file).name}:{source[1]}"
