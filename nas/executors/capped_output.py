"""Output of one call, its beginning and its end, in bounded memory."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
HEAD_BYTES = TAIL_BYTES = 32 * 1024
"""Bytes that are kept of the beginning and of the end of what one call prints."""


class CappedOutput:
    """Output of one call, of which the middle is left out where it is long."""

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Takes what was printed next."""
        room = HEAD_BYTES - len(self._head)
        self._head += data[:room] if room else b""
        rest = self._tail + data[room:] if room < len(data) else self._tail
        self._left_out += max(0, len(rest) - TAIL_BYTES)
        self._tail = rest[-TAIL_BYTES:]

    def content(self) -> bytes:
        """Beginning and end, with a line between them that says how much was left out; empty for no output."""
        note = f"\n[… {self._left_out:,} bytes left out …]\n".encode() if self._left_out else b""
        return self._head + note + self._tail

    def last_line(self) -> str:
        """The last line that is not blank; empty for no output."""
        lines = (self._tail or self._head)[-2000:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class OutputFuture(Future[T]):
    """Future of a call in a worker process.

    Attributes:
        output: What the call printed, set before the future is finished; at most HEAD_BYTES, TAIL_BYTES and a line.
    """

    output: bytes = b""


def output_of(future: Future[Any]) -> bytes:
    """What the call of a finished future printed, where its executor keeps that; else empty."""
    return future.output if isinstance(future, OutputFuture) else b""
