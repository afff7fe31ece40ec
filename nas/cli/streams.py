"""Standard output and standard error: their width, and what stands for characters that their encoding lacks."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import textwrap
from functools import partial
from io import BufferedWriter, FileIO, TextIOWrapper, UnsupportedOperation
from typing import Any, Final, Literal, TextIO

ASCII = "asciionly"
"""Another name of ASCII: typer takes a stream of the encoding 'ascii' for a mistake, and writes UTF-8 to it."""
PLAIN = {
    "±": "+-", "–": "-", "—": "-", "−": "-", "→": "->", "·": "|", "…": "...", "≥": ">=", "≤": "<=", "×": "x",
    "²": "2", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "τ": "tau", "ω": "omega", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
"""Plain letters in place of others; characters that are not among them become question marks."""
STDERR: Final = 2
"""Descriptor of standard error."""


class Lenient(FileIO):
    """A file that drops what cannot be written: a reader that has gone, a terminal that was closed, a full disk."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def make_safe() -> None:
    """Keeps a command from failing for its streams.

    A closed stream is opened on nothing: otherwise the next file that is opened has its number, and what is printed is
    written into it. What cannot be written to standard error is dropped, since it holds only progress and messages.
    """
    # A file takes the lowest free number, so that in this order each gets that of its stream.
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = sys.stdout or _nothing("w")
    sys.stderr = sys.stderr or _nothing("w")
    try:
        is_plain = isinstance(sys.stderr, TextIOWrapper) and sys.stderr.fileno() == STDERR
    except (UnsupportedOperation, ValueError):
        return
    if is_plain:
        raw = BufferedWriter(Lenient(STDERR, "w", closefd=False))
        sys.stderr = TextIOWrapper(raw, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)


def _nothing(mode: Literal["r", "w"]) -> TextIO:
    """A stream of nothing, whose descriptor stays open until the process ends."""
    return open(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8", closefd=False)


def make_readable() -> None:
    """Has both streams write plain letters in place of characters that their encoding lacks."""
    codecs.register(_codec)
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=ASCII if ascii_only else None, errors="plain")


def width() -> int:
    """Columns of the terminal that standard output is; WIDE where it is none."""
    from ..report.terminal import WIDE

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def fitted(text: str) -> str:
    """A text whose lines are broken between words where they are too long for the terminal; elsewhere as it is."""
    if not sys.stdout.isatty():
        return text
    wrap = partial(textwrap.fill, width=width(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrap, text.split("\n")))


def say(message: str) -> None:
    """Prints one line on standard error; characters that could move a terminal's cursor become question marks."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    sys.stderr.write(f"nas: {line}\n")


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != ASCII:
        return None
    info = codecs.lookup("ascii")
    return codecs.CodecInfo(
        info.encode,
        info.decode,
        info.streamreader,
        info.streamwriter,
        info.incrementalencoder,
        info.incrementaldecoder,
        name=ASCII,
    )


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end
