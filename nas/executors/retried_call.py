"""Calls that are made once more, in a smaller way, where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from ..errors import OutOfMemory
from ..failures import out_of_memory, reason

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class RetriedCall(Generic[P, T]):
    """A call that an executor of this package makes once more where memory runs out; others only make the first.

    Attributes:
        first: The call.
        smaller: The same call with less memory and the same result up to rounding; None for no second one.
    """

    first: Callable[P, T]
    smaller: Callable[P, T] | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.first(*args, **kwargs)


def both_calls(fn: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The call that is made, and the one that is made where memory runs out in it."""
    return (fn.first, fn.smaller) if isinstance(fn, RetriedCall) else (fn, None)


def told(error: Exception | SystemExit) -> Exception | SystemExit:
    """The error of a call; where memory ran out, one that says so first."""
    return OutOfMemory(f"out of memory: {reason(error)}") if out_of_memory(error) else error
