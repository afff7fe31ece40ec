"""The one broad `except` of the project: whatever a candidate raises is a value to record, not the end of a search."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
