"""Where a key of a config was set: in which line of the file, or by which override."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from .errors import shown


def names_of(key: str) -> tuple[str, ...]:
    """The tables that a dotted key leads through, and its last part."""
    return tuple(name.strip() for name in key.split("."))


def place(where: str, text: str, path: tuple[str, ...], overrides: Sequence[str]) -> str:
    """Where a key was set: by an override, or in a line of the file; where it is missing, that of its table."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        names = names_of(key)
        if names == path[: len(names)] or path == names[: len(path)]:
            return f"--set {shown(key)[1:-1]}"
    lines = (_line(text, path[:length]) for length in range(len(path), 0, -1))
    return next((f"{where}:{line}" for line in lines if line), where)


def _line(text: str, path: tuple[str, ...]) -> int | None:
    """The line where a key is set: the text above it, parsed, lacks the key, and with what follows has it."""
    lines = text.split("\n")
    start = 1
    for end in range(1, min(len(lines), 1000) + 1):
        try:
            table: Any = tomllib.loads("\n".join(lines[:end]))
        except ValueError:
            continue  # it ends in the middle of a value
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        if table is not None:
            return start
        start = end + 1
    return None
